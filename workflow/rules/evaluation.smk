# A system translates the test set; a student from its packed directory, reloaded.
rule translate_test:
    input:
        model=get_system_model,
        segments="results/{experiment}/{pair}/data/test.jsonl",
        audio="results/{experiment}/data/audio",
    output:
        hypotheses="results/{experiment}/{pair}/evaluation/{system}/hypotheses.jsonl",
        translation="results/{experiment}/{pair}/evaluation/{system}/translation.json",
    log:
        "logs/{experiment}/{pair}/translate_test/{system}.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/translate_test/{system}.jsonl"
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


# Count a system's true weights, decoder layers and bytes on disk.
rule measure_size:
    input:
        model=get_system_model,
    output:
        size="results/{experiment}/{pair}/evaluation/{system}/size.json",
    log:
        "logs/{experiment}/{pair}/measure_size/{system}.log",
    localrule: True
    conda:
        "../../envs/models.yaml"
    script:
        "../scripts/measure_size.py"


# Compare one system's translations of the test set with the references.
rule score_hypotheses:
    input:
        hypotheses="results/{experiment}/{pair}/evaluation/{system}/hypotheses.jsonl",
        test="results/{experiment}/{pair}/data/test.jsonl",
    output:
        scores="results/{experiment}/{pair}/evaluation/{system}/scores.json",
        segments="results/{experiment}/{pair}/evaluation/{system}/segments.csv",
    log:
        "logs/{experiment}/{pair}/score_hypotheses/{system}.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/score_hypotheses/{system}.jsonl"
    conda:
        "../../envs/scoring.yaml"
    params:
        metrics=lookup("evaluation/metrics", within=config),
    script:
        "../scripts/score_hypotheses.py"


# Hold all systems of a pair against its teacher, and say how sure the differences are.
rule compare_systems:
    input:
        comet=collect(
            "results/{experiment}/{pair}/evaluation/{system}/comet/{metric}.jsonl",
            system=SYSTEMS,
            metric=config["evaluation"]["comet"],
            allow_missing=True,
        ),
        comet_summaries=collect(
            "results/{experiment}/{pair}/evaluation/{system}/comet/{metric}.json",
            system=SYSTEMS,
            metric=config["evaluation"]["comet"],
            allow_missing=True,
        ),
        hypotheses=collect(
            "results/{experiment}/{pair}/evaluation/{system}/hypotheses.jsonl",
            system=SYSTEMS,
            allow_missing=True,
        ),
        test="results/{experiment}/{pair}/data/test.jsonl",
    output:
        comparison="results/{experiment}/{pair}/evaluation/comparison.json",
    log:
        "logs/{experiment}/{pair}/compare_systems.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/compare_systems.jsonl"
    conda:
        "../../envs/scoring.yaml"
    params:
        systems=lookup("evaluation/systems", within=config),
        metrics=lookup("evaluation/metrics", within=config),
    script:
        "../scripts/compare_systems.py"


# List empty, overlong, repetitive and foreign translations.
rule check_hypotheses:
    input:
        hypotheses="results/{experiment}/{pair}/evaluation/{system}/hypotheses.jsonl",
        test="results/{experiment}/{pair}/data/test.jsonl",
    output:
        checks="results/{experiment}/{pair}/evaluation/{system}/checks.json",
    log:
        "logs/{experiment}/{pair}/check_hypotheses/{system}.log",
    conda:
        "../../envs/scoring.yaml"
    params:
        checks=lookup("evaluation/checks", within=config),
    script:
        "../scripts/check_hypotheses.py"


# A file of every system of every pair, in the order of the config.
EVERY_SYSTEM = collect(
    "results/{experiment}/{pair}/evaluation/{system}/{name}.json",
    pair=config["pairs"],
    system=SYSTEMS,
    allow_missing=True,
)


# Lay scores, sizes and speeds of all pairs and systems side by side.
rule tabulate_scores:
    input:
        scores=collect(EVERY_SYSTEM, name="scores", allow_missing=True),
        sizes=collect(EVERY_SYSTEM, name="size", allow_missing=True),
        translations=collect(EVERY_SYSTEM, name="translation", allow_missing=True),
        comet=collect(
            EVERY_SYSTEM,
            name=[f"comet/{metric}" for metric in config["evaluation"]["comet"]],
            allow_missing=True,
        ),
        comparisons=collect(
            "results/{experiment}/{pair}/evaluation/comparison.json",
            pair=config["pairs"],
            allow_missing=True,
        ),
    output:
        csv=report(
            "results/{experiment}/scores.csv",
            caption="../report/scores.rst",
            category="Tables",
            labels={"table": "scores of all systems"},
        ),
        markdown="results/{experiment}/scores.md",
    log:
        "logs/{experiment}/tabulate_scores.log",
    localrule: True
    conda:
        "../../envs/scoring.yaml"
    params:
        languages=lookup("languages", within=config),
    script:
        "../scripts/tabulate_scores.py"


# Keep the config, with all defaults filled in, beside the results it led to.
rule write_config:
    output:
        "results/{experiment}/config.json",
    log:
        "logs/{experiment}/write_config.log",
    localrule: True
    conda:
        "../../envs/scoring.yaml"
    params:
        config=get_config,
    script:
        "../scripts/write_config.py"
