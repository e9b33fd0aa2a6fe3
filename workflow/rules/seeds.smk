# Several seeds: the folders of the seeds after the first, and one table of them all.

# What a folder of a later seed shares with that of the first.
SHARED_FILES, SHARED_FOLDERS = systems.shared_by_seeds(config)
LATER_SEEDS = "|".join(list(RUNS)[1:]) or "none"


# What no seed changes is made for the first seed; the others link to it.
rule link_shared_file:
    input:
        f"{EXPERIMENT}/{{shared}}",
    output:
        "results/{experiment}/{shared}",
    log:
        "logs/{experiment}/link_shared_file/{shared}.log",
    wildcard_constraints:
        experiment=LATER_SEEDS,
        shared=SHARED_FILES,
    localrule: True
    conda:
        "../../envs/scoring.yaml"
    shell:
        "ln --symbolic --relative --no-target-directory --force {input:q} {output:q} 2> {log:q}"


use rule link_shared_file as link_shared_folder with:
    output:
        directory("results/{experiment}/{shared}"),
    log:
        "logs/{experiment}/link_shared_folder/{shared}.log",
    wildcard_constraints:
        experiment=LATER_SEEDS,
        shared=SHARED_FOLDERS,


# A link comes before the rule that would make the same again.
ruleorder: link_shared_folder > materialize_pruned > prepare_segments
ruleorder: link_shared_file > prepare_segments > record_corpora > split_manifest
ruleorder: link_shared_file > prepare_out_of_domain > fetch_comet > score_comet
ruleorder: link_shared_file > translate_test > measure_size > score_hypotheses
ruleorder: link_shared_file > check_hypotheses > measure_cost > translate_train
ruleorder: link_shared_file > filter_pseudo_labels > choose_segments > encode_clips
ruleorder: link_shared_file > score_unpruned > list_layers > propose_layers
ruleorder: link_shared_file > gather_scores > select_layer > select_layer_by_place
ruleorder: link_shared_file > score_layers_by_comet > measure_sensitivities


# Every translation of the test set, by seed, pair and system.
EVALUATED = [
    {"experiment": run, "pair": pair, "system": system}
    for run in RUNS
    for pair in config["pairs"]
    for system in SYSTEMS
]


# The mean of every system over seeds, its spread, and its interval.
rule summarise_seeds:
    input:
        hypotheses=[
            "results/{experiment}/{pair}/evaluation/{system}/hypotheses.jsonl".format(**run)
            for run in EVALUATED
        ],
        test=collect(
            "results/{experiment}/{pair}/data/test.jsonl", pair=config["pairs"], allow_missing=True
        ),
    output:
        csv="results/{experiment}/seeds.csv",
        contrasts="results/{experiment}/contrasts.csv",
        markdown="results/{experiment}/seeds.md",
    log:
        "logs/{experiment}/summarise_seeds.log",
    benchmark:
        "results/{experiment}/benchmarks/summarise_seeds.jsonl"
    wildcard_constraints:
        experiment=config["experiment"],
    conda:
        "../../envs/scoring.yaml"
    params:
        evaluated=EVALUATED,
        pairs=config["pairs"],
        contrasts=lookup("evaluation/contrasts", within=config),
        languages=lookup("languages", within=config),
    script:
        "../scripts/summarise_seeds.py"
