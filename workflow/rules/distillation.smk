# The teacher translates the audio it was trained on.
rule translate_train:
    input:
        model=TEACHER_MODEL,
        segments="results/{experiment}/{pair}/data/train.jsonl",
        audio="results/{experiment}/data/audio",
    output:
        hypotheses="results/{experiment}/{pair}/distillation/translations.jsonl",
        translation="results/{experiment}/{pair}/distillation/translation.json",
    log:
        "logs/{experiment}/{pair}/translate_train.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/translate_train.jsonl"
    priority: 2
    conda:
        "../../envs/models.yaml"
    resources:
        gpu=1,
        mem_mb=32000,
        runtime="4h",
    params:
        prompt=lookup("prompt", within=config),
        languages=lookup("languages", within=config),
        generation=lookup("generation", within=config),
    script:
        "../scripts/translate_segments.py"


# Join the translations to the gold data, and drop those that add nothing or look wrong.
rule filter_pseudo_labels:
    input:
        gold="results/{experiment}/{pair}/data/train.jsonl",
        translations=branch(
            config["distillation"]["engine"],
            then="results/{experiment}/{pair}/distillation/vllm/translations.jsonl",
            otherwise="results/{experiment}/{pair}/distillation/translations.jsonl",
        ),
    output:
        distilled="results/{experiment}/{pair}/distillation/distilled.jsonl",
        summary="results/{experiment}/{pair}/distillation/summary.json",
    log:
        "logs/{experiment}/{pair}/filter_pseudo_labels.log",
    priority: 2
    localrule: True
    conda:
        "../../envs/scoring.yaml"
    params:
        length_ratio=lookup("distillation/length_ratio", within=config),
        max_repetition=lookup("distillation/max_repetition", within=config),
        min_chrf=lookup("distillation/min_chrf", within=config),
    script:
        "../scripts/filter_pseudo_labels.py"
