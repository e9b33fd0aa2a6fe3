# What the IWSLT compression track asks for, of the config's own test set and of the campaign's.

# The campaign's test sets: by name, and the names of those of each pair.
TEST_SETS = config["submission"]["tests"]
CAMPAIGN = {
    pair: [name for name, test in TEST_SETS.items() if pair in test.get("pairs", config["pairs"])]
    for pair in config["pairs"]
}


# Write a system's translations as IWSLT takes them, with what is to be declared of it.
rule write_submission:
    input:
        hypotheses="results/{experiment}/{pair}/evaluation/{system}/hypotheses.jsonl",
        system_size="results/{experiment}/{pair}/evaluation/{system}/size.json",
        test="results/{experiment}/{pair}/data/test.jsonl",
        choice=get_choice,
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


# Cut a test set of the track into 16 kHz clips, in the organisers' order.
rule prepare_test_set:
    input:
        folder=lookup("{test}/folder", within=TEST_SETS),
        segments=lookup("{test}/segments", within=TEST_SETS, default=[]),
    output:
        segments="results/{experiment}/{pair}/tests/{test}/segments.jsonl",
        audio=directory("results/{experiment}/{pair}/tests/{test}/audio"),
    log:
        "logs/{experiment}/{pair}/prepare_test_set/{test}.log",
    conda:
        "../../envs/data.yaml"
    script:
        "../scripts/prepare_test_set.py"


# Translate it with a system, as the config's own test set.
use rule translate_test as translate_test_set with:
    input:
        model=get_system_model,
        segments="results/{experiment}/{pair}/tests/{test}/segments.jsonl",
        audio="results/{experiment}/{pair}/tests/{test}/audio",
    output:
        hypotheses="results/{experiment}/{pair}/submission/{system}/tests/{test}/hypotheses.jsonl",
        translation="results/{experiment}/{pair}/submission/{system}/tests/{test}/translation.json",
    log:
        "logs/{experiment}/{pair}/translate_test_set/{system}/{test}.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/translate_test_set/{system}/{test}.jsonl"


# Write that as text to upload, one line a segment.
rule write_test_set:
    input:
        hypotheses="results/{experiment}/{pair}/submission/{system}/tests/{test}/hypotheses.jsonl",
        segments="results/{experiment}/{pair}/tests/{test}/segments.jsonl",
    output:
        text="results/{experiment}/{pair}/submission/{system}/tests/{test}.txt",
        talks=directory("results/{experiment}/{pair}/submission/{system}/tests/{test}/talks"),
    log:
        "logs/{experiment}/{pair}/write_test_set/{system}/{test}.log",
    localrule: True
    conda:
        "../../envs/scoring.yaml"
    script:
        "../scripts/write_test_set.py"


# Read the references of a test set, where the config names them.
rule prepare_references:
    input:
        segments="results/{experiment}/{pair}/tests/{test}/segments.jsonl",
        target=lookup("{test}/references", within=TEST_SETS),
        source=lookup("{test}/transcript", within=TEST_SETS, default=[]),
    output:
        references="results/{experiment}/{pair}/tests/{test}/references.jsonl",
    log:
        "logs/{experiment}/{pair}/prepare_references/{test}.log",
    localrule: True
    conda:
        "../../envs/data.yaml"
    script:
        "../scripts/prepare_references.py"


# Cut the translation of a test set to its references and score it.
use rule score_talks as score_test_set with:
    input:
        talks="results/{experiment}/{pair}/submission/{entry}/tests/{test}/talks",
        test="results/{experiment}/{pair}/tests/{test}/references.jsonl",
    output:
        hypotheses="results/{experiment}/{pair}/submission/{entry}/tests/{test}/resegmented.jsonl",
        scores="results/{experiment}/{pair}/submission/{entry}/tests/{test}/scores.json",
    log:
        "logs/{experiment}/{pair}/score_test_set/{entry}/{test}.log",


# Measure a system's size as the organisers do.
rule measure_state_dict:
    input:
        model=get_system_model,
    output:
        size="results/{experiment}/{pair}/submission/{system}/state_dict.json",
    log:
        "logs/{experiment}/{pair}/measure_state_dict/{system}.log",
    conda:
        "../../envs/models.yaml"
    resources:
        mem_mb=32000,
        runtime="1h",
    script:
        "../scripts/measure_state_dict.py"


# Put what the IWSLT compression track asks of a system into one archive.
rule bundle_submission:
    input:
        text="results/{experiment}/{pair}/submission/{system}/hypotheses.txt",
        talks="results/{experiment}/{pair}/submission/{system}/talks",
        declaration="results/{experiment}/{pair}/submission/{system}/declaration.json",
        system_size="results/{experiment}/{pair}/evaluation/{system}/size.json",
        state_dict="results/{experiment}/{pair}/submission/{system}/state_dict.json",
        corpora="results/{experiment}/data/corpus.json",
        tests=collect(
            "results/{experiment}/{pair}/submission/{system}/tests/{test}.txt",
            test=lookup("{pair}", within=CAMPAIGN),
            allow_missing=True,
        ),
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
        submission=lookup("submission", within=config),
    script:
        "../scripts/bundle_submission.py"


# Of every student: its bundle, and its scores on the test sets that have references.
SUBMISSIONS = collect(
    f"{EXPERIMENT}/{{pair}}/submission/{{student}}/bundle.tar.gz",
    pair=config["pairs"],
    student=STAGES,
) + [
    f"{EXPERIMENT}/{pair}/submission/{student}/tests/{test}/{name}.json"
    for pair, tests in CAMPAIGN.items()
    for student in STAGES
    for test in tests
    if "references" in TEST_SETS[test]
    for name in [
        "scores",
        *[
            f"comet/{metric}"
            for metric in config["evaluation"]["comet"]
            if "transcript" in TEST_SETS[test]
        ],
    ]
]


# Make all of that in one go.
rule submission:
    input:
        SUBMISSIONS,
    localrule: True
