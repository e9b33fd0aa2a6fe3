# Iteration 00: every layer of the teacher is kept.
rule list_layers:
    input:
        teacher=get_teacher,
    output:
        layers="results/{experiment}/{pair}/pruning/iter_00/layers.json",
    log:
        "logs/{experiment}/{pair}/list_layers.log",
    localrule: True
    conda:
        "../../envs/qwen2audio.yaml"
    script:
        "../scripts/list_layers.py"


# Translate without each layer in turn, and score what comes out.
rule score_layers:
    input:
        teacher=get_teacher,
        layers=get_previous_layers,
        segments=get_search_segments,
        audio="results/{experiment}/data/audio",
    output:
        scores="results/{experiment}/{pair}/pruning/iter_{k}/scores.csv",
        hypotheses="results/{experiment}/{pair}/pruning/iter_{k}/hypotheses.jsonl",
    log:
        "logs/{experiment}/{pair}/score_layers/iter_{k}.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/score_layers/iter_{k}.jsonl"
    conda:
        "../../envs/qwen2audio.yaml"
    resources:
        gpu=1,
        mem_mb=32000,
        runtime="8h",
    params:
        clips=lookup("pruning/clips", within=config),
        search=SEARCH,
        prompt=lookup("prompt", within=config),
        languages=lookup("languages", within=config),
        generation=lookup("generation", within=config),
    script:
        "../scripts/score_layers.py"


# Drop the layer whose absence scores best.
rule select_layer:
    input:
        layers=get_previous_layers,
        scores="results/{experiment}/{pair}/pruning/iter_{k}/scores.csv",
    output:
        layers="results/{experiment}/{pair}/pruning/iter_{k}/layers.json",
    log:
        "logs/{experiment}/{pair}/select_layer/iter_{k}.log",
    localrule: True
    conda:
        "../../envs/qwen2audio.yaml"
    script:
        "../scripts/select_layer.py"


# Write the weights of one iteration, made from the teacher and the list of its kept layers.
rule materialize_pruned:
    input:
        teacher=get_teacher,
        layers="results/{experiment}/{pair}/pruning/iter_{k}/layers.json",
    output:
        model=directory("results/{experiment}/{pair}/pruning/iter_{k}/model"),
    log:
        "logs/{experiment}/{pair}/materialize_pruned/iter_{k}.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/materialize_pruned/iter_{k}.jsonl"
    conda:
        "../../envs/qwen2audio.yaml"
    resources:
        mem_mb=32000,
        runtime="1h",
    script:
        "../scripts/materialize_pruned.py"
