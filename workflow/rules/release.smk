# The systems that a student's model card shows: with its scores, also what it was made from.
SHOWN = {
    student: [name for name in ("base", "teacher") if {name, student} <= {*SYSTEMS}] + [student]
    for student in STAGES
}
# Those of them whose cost is measured.
SHOWN_TIMED = {
    student: [name for name in shown if name in TIMED] if student in SYSTEMS else []
    for student, shown in SHOWN.items()
}
# The lists of the layers that are left: that of the search, then those of the stages that prune; and
# the part of the model that each of these stages prunes.
LAYERS, PRUNED_PARTS = {}, {}
for student in STAGES:
    searched, pruned = systems.layer_files(config, student)
    LAYERS[student] = [searched, *(file for _, file in pruned)]
    PRUNED_PARTS[student] = [part for part, _ in pruned]
# The adapter of the last stage, of students that have one.
ADAPTERS = {student: systems.last_adapter(config, student) for student in STAGES}
# The data sets of the card: where the config names none, the copy on the Hub that was downloaded.
CARD = config["release"]
if os.path.normpath(config["data"]["archive"]) == config_checks.HUB_COPY and not CARD["datasets"]:
    CARD = CARD | {"datasets": [config["data"]["hub"]["repository"]]}
# What a release says of the config: no more, so that no other key writes it again.
RELEASED = {
    student: {
        "experiment": config["experiment"],
        "prompt": config["prompt"],
        "languages": config["languages"],
        "base": config["base"],
        "teacher": config["teacher"],
        "release": CARD,
        "recipe": RECIPES[student],
        "generation": {"max_new_tokens": config["generation"]["max_new_tokens"]},
        "data_split": config["data"]["split"]["method"],
        "search_split": config["pruning"]["split"],
    }
    for student in STAGES
}


# Put a student into the form it is given away in: links to its files, its story, a model card.
rule release_student:
    input:
        layers=lookup("{student}", within=LAYERS),
        sizes=collect(
            "results/{experiment}/{pair}/evaluation/{system}/size.json",
            system=lookup("{student}", within=SHOWN),
            allow_missing=True,
        ),
        costs=collect(
            "results/{experiment}/{pair}/evaluation/{system}/cost.json",
            system=lookup("{student}", within=SHOWN_TIMED),
            allow_missing=True,
        ),
        comparison=branch(
            evaluate(f"{{student}} in {SYSTEMS}"),
            then=["results/{experiment}/{pair}/evaluation/comparison.json"],
        ),
        vocabulary=branch(
            lookup("students/{student}/vocabulary", within=config),
            then=["results/{experiment}/{pair}/students/{student}/vocabulary.json"],
        ),
        choice=get_choice,
        packing=branch(
            lookup("{student}", within=ADAPTERS),
            then=["results/{experiment}/{pair}/students/{student}/packing.json"],
        ),
        engines=collect(
            "results/{experiment}/{pair}/students/{student}/parity/vllm/{form}/parity.json",
            form=lookup("{student}", within=SERVED),
            allow_missing=True,
        ),
        packed="results/{experiment}/{pair}/students/{student}/packed",
        hashes="results/{experiment}/{pair}/students/{student}/sha256.txt",
        corpora="results/{experiment}/data/corpus.json",
    output:
        release=directory("results/{experiment}/{pair}/students/{student}/release"),
    log:
        "logs/{experiment}/{pair}/release_student/{student}.log",
    localrule: True
    conda:
        "../../envs/models.yaml"
    params:
        systems=lookup("{student}", within=SHOWN),
        timed=lookup("{student}", within=SHOWN_TIMED),
        pruned=lookup("{student}", within=PRUNED_PARTS),
        config=lookup("{student}", within=RELEASED),
    script:
        "../scripts/release_student.py"


# Write what a student was before it was quantised as serving engines take it: plain bfloat16.
rule export_student:
    input:
        model=get_trained_model,
        adapter=lookup("{student}", within=KEPT_ADAPTERS),
    output:
        model=directory("results/{experiment}/{pair}/students/{student}/export/bf16"),
    log:
        "logs/{experiment}/{pair}/export_student/{student}.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/export_student/{student}.jsonl"
    conda:
        "../../envs/models.yaml"
    resources:
        mem_mb=24000,
        runtime="1h",
    script:
        "../scripts/export_student.py"


# Round the matrices of its decoder's layers to 8 or 4 bits, for vLLM.
rule round_export:
    input:
        model="results/{experiment}/{pair}/students/{student}/export/bf16",
    output:
        model=directory("results/{experiment}/{pair}/students/{student}/export/{form}"),
    log:
        "logs/{experiment}/{pair}/round_export/{student}-{form}.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/round_export/{student}-{form}.jsonl"
    wildcard_constraints:
        form="int8|w4a16",
    conda:
        "../../envs/models.yaml"
    resources:
        mem_mb=4000,
        runtime="1h",
    params:
        group=lookup("serving/group_size", within=config),
    script:
        "../scripts/round_export.py"
