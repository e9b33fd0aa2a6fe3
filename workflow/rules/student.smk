# The parts of the data that a stage mixes.
GOLD = branch(
    lookup("{student}/{stage}/data/gold", within=STAGES, default=0),
    then="results/{experiment}/{pair}/data/train.jsonl",
)
DISTILLED = branch(
    lookup("{student}/{stage}/data/distilled", within=STAGES, default=0),
    then="results/{experiment}/{pair}/distillation/distilled.jsonl",
)
OUT_OF_DOMAIN = branch(
    lookup("{student}/{stage}/data/out_of_domain", within=STAGES, default=0),
    then="results/{experiment}/{pair}/data/out_of_domain.jsonl",
)


# A stage that trains all weights.
rule train_student:
    input:
        gold=GOLD,
        distilled=DISTILLED,
        out_of_domain=OUT_OF_DOMAIN,
        model=get_stage_start,
        validation="results/{experiment}/{pair}/data/validation.jsonl",
        audio="results/{experiment}/data/audio",
    output:
        model=directory("results/{experiment}/{pair}/students/{student}/{stage}/model"),
        curve="results/{experiment}/{pair}/students/{student}/{stage}/curve.jsonl",
    log:
        "logs/{experiment}/{pair}/train_student/{student}-{stage}.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/train_student/{student}-{stage}.jsonl"
    wildcard_constraints:
        stage=r"\d+-full",
    priority: 2
    conda:
        "../../envs/models.yaml"
    resources:
        **GPUS,
        mem_mb=64000,
        runtime="12h",
    params:
        mix=lookup("{student}/{stage}/data", within=STAGES),
        prompt=lookup("prompt", within=config),
        languages=lookup("languages", within=config),
        training=lookup("{student}/{stage}/training", within=STAGES),
        seed=get_seed,
        workspace="results/{experiment}/{pair}/checkpoints/{student}-{stage}",
    script:
        "../scripts/train_full.py"


# A stage that trains an adapter on the 4-bit form of the model.
rule train_adapter:
    input:
        gold=GOLD,
        distilled=DISTILLED,
        out_of_domain=OUT_OF_DOMAIN,
        model=get_stage_start,
        validation="results/{experiment}/{pair}/data/validation.jsonl",
        audio="results/{experiment}/data/audio",
    output:
        adapter=directory("results/{experiment}/{pair}/students/{student}/{stage}/adapter"),
        curve="results/{experiment}/{pair}/students/{student}/{stage}/curve.jsonl",
    log:
        "logs/{experiment}/{pair}/train_adapter/{student}-{stage}.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/train_adapter/{student}-{stage}.jsonl"
    wildcard_constraints:
        stage=r"\d+-qlora",
    priority: 1
    conda:
        "../../envs/models.yaml"
    resources:
        **GPUS,
        mem_mb=48000,
        runtime="24h",
    params:
        mix=lookup("{student}/{stage}/data", within=STAGES),
        lora=lookup("{student}/{stage}/lora", within=STAGES),
        prompt=lookup("prompt", within=config),
        languages=lookup("languages", within=config),
        training=lookup("{student}/{stage}/training", within=STAGES),
        seed=get_seed,
        workspace="results/{experiment}/{pair}/checkpoints/{student}-{stage}",
    script:
        "../scripts/train_adapter.py"


# The weights that adapters are added to, by student.
MERGED_INTO = {student: systems.merged_into(config, student) for student in STAGES}


# Merge an adapter into the weights it was trained on.
rule merge_adapter:
    input:
        model=get_stage_start,
        adapter=get_adapter,
    output:
        model=directory("results/{experiment}/{pair}/students/{student}/{stage}/model"),
    log:
        "logs/{experiment}/{pair}/merge_adapter/{student}-{stage}.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/merge_adapter/{student}-{stage}.jsonl"
    wildcard_constraints:
        stage=r"\d+-qlora",
    conda:
        "../../envs/models.yaml"
    resources:
        mem_mb=20000,
        runtime="1h",
    params:
        into=lookup("{student}", within=MERGED_INTO),
    script:
        "../scripts/merge_adapter.py"


# A stage that removes layers, of what the stage before it left.
rule prune_stage:
    input:
        model=get_stage_start,
        segments=SEARCH_SEGMENTS,
        audio="results/{experiment}/data/audio",
    output:
        model=directory("results/{experiment}/{pair}/students/{student}/{stage}/model"),
        layers="results/{experiment}/{pair}/students/{student}/{stage}/layers.json",
        scores="results/{experiment}/{pair}/students/{student}/{stage}/scores.csv",
    log:
        "logs/{experiment}/{pair}/prune_stage/{student}-{stage}.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/prune_stage/{student}-{stage}.jsonl"
    wildcard_constraints:
        stage=r"\d+-prune",
    conda:
        "../../envs/models.yaml"
    resources:
        gpu=1,
        mem_mb=40000,
        runtime="24h",
    params:
        part=lookup("{student}/{stage}/part", within=STAGES),
        layers=lookup("{student}/{stage}/layers", within=STAGES),
        search=branch(
            lookup("{student}/{stage}/criterion", within=STAGES),
            cases={
                criterion: PROTECTED
                | {"metric": config["pruning"]["metric"], "criterion": criterion}
                for criterion in systems.MEASURED
            },
        ),
        prompt=lookup("prompt", within=config),
        languages=lookup("languages", within=config),
        generation=lookup("generation", within=config),
    script:
        "../scripts/prune_stage.py"


# Choose the tokens that a student keeps, and measure how much longer text gets.
rule choose_vocabulary:
    input:
        model=TEACHER_MODEL,
        targets=get_training_data,
        texts=get_vocabulary_texts,
        held_out="results/{experiment}/{pair}/data/test.jsonl",
        choice=branch(
            evaluate(f"{{student}} in {SIZED}"),
            then=["results/{experiment}/{pair}/students/{student}/budget.json"],
        ),
    output:
        vocabulary="results/{experiment}/{pair}/students/{student}/vocabulary.json",
    log:
        "logs/{experiment}/{pair}/choose_vocabulary/{student}.log",
    conda:
        "../../envs/models.yaml"
    resources:
        mem_mb=8000,
        runtime="1h",
    params:
        size=lookup("students/{student}/vocabulary/size", within=config),
        scripts=lookup("students/{student}/vocabulary/scripts", within=config),
        prompt=lookup("prompt", within=config),
        languages=lookup("languages", within=config),
    script:
        "../scripts/choose_vocabulary.py"


# Write a model with the chosen tokens alone; where in the recipe, the config says.
rule trim_vocabulary:
    input:
        model=get_untrimmed_model,
        vocabulary="results/{experiment}/{pair}/students/{student}/vocabulary.json",
    output:
        model=directory("results/{experiment}/{pair}/students/{student}/trimmed"),
    log:
        "logs/{experiment}/{pair}/trim_vocabulary/{student}.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/trim_vocabulary/{student}.jsonl"
    conda:
        "../../envs/models.yaml"
    resources:
        mem_mb=20000,
        runtime="1h",
    script:
        "../scripts/trim_vocabulary.py"


# Quantise once, and write the directory that is scored and that a user downloads.
rule pack_student:
    input:
        model=get_trained_model,
        adapter=lookup("{student}", within=KEPT_ADAPTERS),
        choice=get_choice,
    output:
        packed=directory("results/{experiment}/{pair}/students/{student}/packed"),
    log:
        "logs/{experiment}/{pair}/pack_student/{student}.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/pack_student/{student}.jsonl"
    conda:
        "../../envs/models.yaml"
    resources:
        mem_mb=20000,
        runtime="1h",
    params:
        quantization=lookup("students/{student}/quantization", within=config),
        without=lookup("base/without", within=config),
    script:
        "../scripts/pack_student.py"


# How much of what the last stage's adapter learned is left after merging and packing.
rule measure_packing:
    input:
        start=get_last_start,
        adapter=get_last_adapter,
        merged=branch(
            lookup("{student}", within=KEPT_ADAPTERS), then=[], otherwise=get_trained_model
        ),
        packed="results/{experiment}/{pair}/students/{student}/packed",
        validation="results/{experiment}/{pair}/data/validation.jsonl",
        audio="results/{experiment}/data/audio",
    output:
        packing="results/{experiment}/{pair}/students/{student}/packing.json",
    log:
        "logs/{experiment}/{pair}/measure_packing/{student}.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/measure_packing/{student}.jsonl"
    conda:
        "../../envs/models.yaml"
    resources:
        gpu=1,
        mem_mb=40000,
        runtime="2h",
    params:
        prompt=lookup("prompt", within=config),
        languages=lookup("languages", within=config),
        merge=lookup("students/{student}/merge", within=config),
    script:
        "../scripts/measure_packing.py"
