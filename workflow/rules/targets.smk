# What the default target makes: tables, students, pruned models, evaluations, and the report of all.

ITERATIONS = config["pruning"]["iterations"]

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
KEPT = config["pruning"]["keep_checkpoints"]
CHECKPOINTS = [
    f"{EXPERIMENT}/{pair}/pruning/{criterion}/iter_{k:02d}/model"
    for pair in config["pairs"]
    for criterion, lengths in SEARCHES.items()
    for k in range(1, lengths[pair] + 1)
    if KEPT == "all" or (KEPT == "last" and k == lengths[pair])
]
# Beside the tables: checks, the text in the form of IWSLT and its scores, and the cost.
EVALUATIONS = collect(
    [
        f"{EXPERIMENT}/{{pair}}/{name}"
        for name in [
            "evaluation/{system}/checks.json",
            "submission/{system}/scores.json",
        ]
    ],
    pair=config["pairs"],
    system=SYSTEMS,
) + collect(
    f"{EXPERIMENT}/{{pair}}/evaluation/{{system}}/cost.json", pair=config["pairs"], system=TIMED
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
# What serving engines take to run the exports.
ENGINE_COSTS = [
    f"{EXPERIMENT}/{pair}/students/{student}/parity/vllm/{form}/cost.json"
    for pair in config["pairs"]
    for student, forms in SERVED.items()
    for form in forms
    if COST["repeats"]
]
# Of later seeds the tables, and one table of all seeds.
SEEDS = [f"results/{run}/{name}" for run in list(RUNS)[1:] for name in ("scores.md", "config.json")]
SEEDS += [f"{EXPERIMENT}/seeds.md"] if len(RUNS) > 1 else []
MEASURED = collect(
    systems.SENSITIVITIES,
    experiment=config["experiment"],
    pair=config["pairs"] if config["evaluation"]["sensitivities"] else [],
)
RESULTS = [
    *TABLES,
    *UNPRUNED_SCORES,
    *MEASURED,
    *STUDENTS,
    *CHECKPOINTS,
    *EVALUATIONS,
    *TEXTS,
    *ENGINE_COSTS,
    *SEEDS,
]
REPORT = [f"{EXPERIMENT}/{name}" for name in ("report.html", "plots", "scores.tex")]
