# Put a student into the form it is given away in: links to its files, its story, a model card.
rule release_student:
    input:
        unpack(get_release_files),
        packed="results/{experiment}/{pair}/students/{student}/packed",
        hashes="results/{experiment}/{pair}/students/{student}/sha256.txt",
        corpora="results/{experiment}/data/corpus.json",
    output:
        release=directory("results/{experiment}/{pair}/students/{student}/release"),
    log:
        "logs/{experiment}/{pair}/release_student/{student}.log",
    localrule: True
    conda:
        "../../envs/qwen2audio.yaml"
    params:
        systems=get_shown_systems,
        pruned=get_pruned_parts,
        config=get_released_config,
    script:
        "../scripts/release_student.py"


# Write what a student was before it was quantised as serving engines take it: plain bfloat16.
rule export_student:
    input:
        model=get_trained_model,
    output:
        model=directory("results/{experiment}/{pair}/students/{student}/export/bf16"),
    log:
        "logs/{experiment}/{pair}/export_student/{student}.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/export_student/{student}.jsonl"
    conda:
        "../../envs/qwen2audio.yaml"
    resources:
        mem_mb=24000,
        runtime="1h",
    script:
        "../scripts/export_student.py"
