# Write a system's translations as IWSLT takes them, with what is to be declared of it.
rule write_submission:
    input:
        hypotheses="results/{experiment}/{pair}/evaluation/{system}/hypotheses.jsonl",
        system_size="results/{experiment}/{pair}/evaluation/{system}/size.json",
        test="results/{experiment}/{pair}/data/test.jsonl",
    output:
        text="results/{experiment}/{pair}/submission/{system}/hypotheses.txt",
        talks=directory("results/{experiment}/{pair}/submission/{system}/talks"),
        declaration="results/{experiment}/{pair}/submission/{system}/declaration.json",
    log:
        "logs/{experiment}/{pair}/write_submission/{system}.log",
    conda:
        "../../envs/scoring.yaml"
    params:
        recipe=lookup("{system}", within=RECIPES, default=None),
    script:
        "../scripts/write_submission.py"


# Cut the text of whole talks to the references and score it, as IWSLT does.
rule score_talks:
    input:
        talks=lookup(
            "evaluation/texts/{entry}",
            within=config,
            default="results/{experiment}/{pair}/submission/{entry}/talks",
        ),
        test="results/{experiment}/{pair}/data/test.jsonl",
    output:
        hypotheses="results/{experiment}/{pair}/submission/{entry}/resegmented.jsonl",
        scores="results/{experiment}/{pair}/submission/{entry}/scores.json",
    log:
        "logs/{experiment}/{pair}/score_talks/{entry}.log",
    conda:
        "../../envs/scoring.yaml"
    params:
        metrics=lookup("evaluation/metrics", within=config),
    script:
        "../scripts/score_talks.py"


# Put what the IWSLT compression track asks of a system into one archive.
rule bundle_submission:
    input:
        text="results/{experiment}/{pair}/submission/{system}/hypotheses.txt",
        talks="results/{experiment}/{pair}/submission/{system}/talks",
        declaration="results/{experiment}/{pair}/submission/{system}/declaration.json",
        system_size="results/{experiment}/{pair}/evaluation/{system}/size.json",
        corpora="results/{experiment}/data/corpus.json",
        model=get_system_model,
    output:
        bundle="results/{experiment}/{pair}/submission/{system}/bundle.tar.gz",
    log:
        "logs/{experiment}/{pair}/bundle_submission/{system}.log",
    localrule: True
    conda:
        "../../envs/scoring.yaml"
    params:
        base=lookup("base", within=config),
        teacher=lookup("teacher", within=config),
        release=lookup("release", within=config),
    script:
        "../scripts/bundle_submission.py"
