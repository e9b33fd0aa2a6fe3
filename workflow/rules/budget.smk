# Of each student with a budget, by pair: what of it may be chosen.
BUDGETS = {
    student: {
        pair: {
            "budget": config["students"][student]["budget"],
            "removed": systems.removals(config, student, pair),
            "sizes": systems.vocabulary_sizes(config, student),
            "quantization": config["students"][student]["quantization"],
            "without": config["base"]["without"],
        }
        for pair in config["pairs"]
    }
    for student in systems.budgets(config)
}
# The lists of the layers that are left after each of these numbers of removals.
BUDGET_LAYERS = {
    student: {
        pair: [
            systems.layers_file(systems.Pruned(systems.student_criterion(config, student), k))
            for k in request["removed"]
        ]
        for pair, request in requests.items()
    }
    for student, requests in BUDGETS.items()
}
# Of each search of which a budget takes a number of removals, the last list.
OPEN_LAYERS = {
    pair: [
        systems.layers_file(systems.Pruned(criterion, SEARCHES[criterion][pair]))
        for criterion in systems.open_searches(config)
    ]
    for pair in config["pairs"]
}


# Check a budget by the config of the base model alone, before anything long runs.
rule bound_budget:
    input:
        model=lookup("base/model", within=config),
    output:
        bounds="results/{experiment}/{pair}/students/{student}/bounds.json",
    log:
        "logs/{experiment}/{pair}/bound_budget/{student}.log",
    priority: 3
    localrule: True
    conda:
        "../../envs/models.yaml"
    params:
        request=lookup("{student}/{pair}", within=BUDGETS),
    script:
        "../scripts/bound_budget.py"


# Measure what the teacher loses when a part of it is rounded, or layers are removed, and nothing is
# trained. This is the same for every budget.
rule measure_sensitivities:
    input:
        teacher=TEACHER_MODEL,
        segments=SEARCH_SEGMENTS,
        audio="results/{experiment}/data/audio",
        layers=lookup("{pair}", within=OPEN_LAYERS),
    output:
        sensitivities="results/{experiment}/{pair}/sensitivities.json",
    log:
        "logs/{experiment}/{pair}/measure_sensitivities.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/measure_sensitivities.jsonl"
    conda:
        "../../envs/models.yaml"
    resources:
        gpu=1,
        mem_mb=64000,
        runtime="8h",
    params:
        criteria=systems.open_searches(config),
        metric=lookup("pruning/metric", within=config),
        prompt=lookup("prompt", within=config),
        languages=lookup("languages", within=config),
        generation=lookup("generation", within=config),
    script:
        "../scripts/measure_sensitivities.py"


# Measure how much longer text gets with each size that a student's vocabulary may have.
rule measure_vocabularies:
    input:
        model=TEACHER_MODEL,
        targets=get_training_data,
        texts=get_vocabulary_texts,
        held_out=SEARCH_SEGMENTS,
    output:
        vocabularies="results/{experiment}/{pair}/students/{student}/vocabularies.json",
    log:
        "logs/{experiment}/{pair}/measure_vocabularies/{student}.log",
    conda:
        "../../envs/models.yaml"
    resources:
        mem_mb=8000,
        runtime="1h",
    params:
        sizes=lookup("{student}/{pair}/sizes", within=BUDGETS),
        scripts=lookup("students/{student}/vocabulary/scripts", within=config),
        prompt=lookup("prompt", within=config),
        languages=lookup("languages", within=config),
    script:
        "../scripts/measure_vocabularies.py"


# Choose what fits the budget, by what was measured before: no model runs.
rule spend_budget:
    input:
        teacher=TEACHER_MODEL,
        bounds="results/{experiment}/{pair}/students/{student}/bounds.json",
        sensitivities=systems.SENSITIVITIES,
        layers=lookup("{student}/{pair}", within=BUDGET_LAYERS),
        vocabularies=branch(
            evaluate(f"{{student}} in {SIZED}"),
            then=["results/{experiment}/{pair}/students/{student}/vocabularies.json"],
        ),
    output:
        choice="results/{experiment}/{pair}/students/{student}/budget.json",
    log:
        "logs/{experiment}/{pair}/spend_budget/{student}.log",
    priority: 2
    localrule: True
    conda:
        "../../envs/models.yaml"
    params:
        request=lookup("{student}/{pair}", within=BUDGETS),
        criterion=lookup("{student}/criterion", within=RECIPES),
        repair=lookup("students/{student}/expected_repair", within=config),
    script:
        "../scripts/spend_budget.py"


# Write the weights of the layers that a budget chose, for students that leave their number open.
rule prune_to_budget:
    input:
        teacher=TEACHER_MODEL,
        layers="results/{experiment}/{pair}/students/{student}/budget.json",
    output:
        model=directory("results/{experiment}/{pair}/students/{student}/pruned"),
    log:
        "logs/{experiment}/{pair}/prune_to_budget/{student}.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/prune_to_budget/{student}.jsonl"
    priority: 2
    conda:
        "../../envs/models.yaml"
    resources:
        mem_mb=20000,
        runtime="1h",
    script:
        "../scripts/materialize_pruned.py"
