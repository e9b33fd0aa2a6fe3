# What the default target makes: tables, students, pruned models, evaluations, and the report of all.

ITERATIONS = range(1, config["pruning"]["iterations"] + 1)
KEPT = {"all": ITERATIONS, "last": ITERATIONS[-1:], "none": ITERATIONS[:0]}

TABLES = [
    f"{EXPERIMENT}/{name}"
    for name in [
        *("scores.csv", "scores.md", "config.json", "data/corpus.json"),
        *(("layers.csv", "layers.md") if ITERATIONS else ()),
    ]
]
# What the searches that translate start from.
UNPRUNED_SCORES = collect(
    f"{EXPERIMENT}/{{pair}}/pruning/iter_00/score.json",
    pair=config["pairs"] if ITERATIONS and {*SEARCHES} & {*systems.TRANSLATING} else [],
)
STUDENTS = collect(
    [f"{EXPERIMENT}/{{pair}}/students/{{student}}/{name}" for name in ("packed", "release")],
    pair=config["pairs"],
    student=STAGES,
)
# Any other pruned model is made when a student or a system needs it, or when asked for by name.
CHECKPOINTS = collect(
    f"{EXPERIMENT}/{{pair}}/pruning/{{criterion}}/iter_{{k:02d}}/model",
    pair=config["pairs"],
    criterion=SEARCHES,
    k=KEPT[config["pruning"]["keep_checkpoints"]],
)
# Beside the tables: checks, the text in the form of IWSLT and its scores, and the cost.
EVALUATIONS = collect(
    [
        f"{EXPERIMENT}/{{pair}}/{name}"
        for name in [
            "evaluation/{system}/checks.json",
            "submission/{system}/scores.json",
            *(["evaluation/{system}/cost.json"] if config["evaluation"]["cost"]["repeats"] else []),
        ]
    ],
    pair=config["pairs"],
    system=SYSTEMS,
)
TEXTS = collect(
    [f"{EXPERIMENT}/{{pair}}/submission/{{entry}}/scores.json"],
    pair=config["pairs"],
    entry=config["evaluation"]["texts"],
) + collect(
    f"{EXPERIMENT}/{{pair}}/submission/{{entry}}/comet/{{metric}}.json",
    pair=config["pairs"],
    entry=config["evaluation"]["texts"],
    metric=config["evaluation"]["comet"],
)
RESULTS = [*TABLES, *UNPRUNED_SCORES, *STUDENTS, *CHECKPOINTS, *EVALUATIONS, *TEXTS]
REPORT = [f"{EXPERIMENT}/{name}" for name in ("report.html", "plots", "scores.tex")]
