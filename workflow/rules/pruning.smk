# Iteration 00: every layer of the teacher is kept.
rule list_layers:
    input:
        teacher=TEACHER_MODEL,
    output:
        layers="results/{experiment}/{pair}/pruning/iter_00/layers.json",
    log:
        "logs/{experiment}/{pair}/list_layers.log",
    localrule: True
    conda:
        "../../envs/models.yaml"
    script:
        "../scripts/list_layers.py"


# Write the weights of one iteration, made from the teacher and the list of its kept layers.
rule materialize_pruned:
    input:
        teacher=TEACHER_MODEL,
        layers="results/{experiment}/{pair}/pruning/{criterion}/iter_{k}/layers.json",
    output:
        model=directory("results/{experiment}/{pair}/pruning/{criterion}/iter_{k}/model"),
    log:
        "logs/{experiment}/{pair}/materialize_pruned/{criterion}_{k}.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/materialize_pruned/{criterion}_{k}.jsonl"
    priority: 2
    conda:
        "../../envs/models.yaml"
    resources:
        mem_mb=20000,
        runtime="1h",
    script:
        "../scripts/materialize_pruned.py"
