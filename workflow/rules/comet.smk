# COMET, if evaluation.comet names metrics. It cannot live with the other packages: its rules run in
# their conda environment, or without conda in a second virtual environment. A `script:` would run
# in Snakemake's own Python there, so they are shell commands.

import glob
import os

from snakemake.settings.types import DeploymentMethod

# The Python of these rules, and the file that stands for its environment; with conda, none.
CONDA = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
COMET_PYTHON = "python" if CONDA else ".venv-comet/bin/python"
COMET_ENVIRONMENT = [] if CONDA else [".venv-comet/installed"]


# Make the virtual environment of COMET, where conda does not. `make` makes the same.
rule install_comet:
    input:
        "envs/comet.lock",
    output:
        ".venv-comet/installed",
    log:
        "logs/install_comet.log",
    localrule: True
    conda:
        "../../envs/snakemake.yaml"
    shell:
        "make .venv-comet/installed > {log} 2>&1"


# The checkpoint of each metric if it is on disk; none if it comes from the Hub.
COMET_FILES = {
    name: (
        [metric["model"]]
        if metric["model"].endswith(".ckpt")
        else sorted(glob.glob(os.path.join(glob.escape(metric["model"]), "checkpoints", "*.ckpt")))
    )
    for name, metric in config["evaluation"]["comet"].items()
}


# Find the checkpoint of a COMET metric, fetch it if it is on the Hub, and check it. This needs no
# results, so a checkpoint that cannot be had stops the run at its start.
rule fetch_comet:
    input:
        environment=ancient(COMET_ENVIRONMENT),
        checkpoint=lookup("{metric}", within=COMET_FILES),
    output:
        "results/{experiment}/comet/{metric}.json",
    log:
        "logs/{experiment}/fetch_comet/{metric}.log",
    localrule: True
    conda:
        "../../envs/comet.yaml"
    params:
        python=COMET_PYTHON,
        model=lookup("evaluation/comet/{metric}/model", within=config),
        revision=lookup("evaluation/comet/{metric}/revision", within=config),
        trusted=lookup("evaluation/comet/{metric}/trusted", within=config),
    shell:
        "{params.python} workflow/scripts/fetch_comet.py --metric {wildcards.metric:q}"
        " --model {params.model:q} --revision {params.revision:q} --trusted {params.trusted}"
        " --output {output:q} --log {log:q}"


# Score one system's translations of the test set by a COMET metric.
rule score_comet:
    input:
        environment=ancient(COMET_ENVIRONMENT),
        checkpoint="results/{experiment}/comet/{metric}.json",
        hypotheses="results/{experiment}/{pair}/evaluation/{system}/hypotheses.jsonl",
        test="results/{experiment}/{pair}/data/test.jsonl",
    output:
        segments="results/{experiment}/{pair}/evaluation/{system}/comet/{metric}.jsonl",
        score="results/{experiment}/{pair}/evaluation/{system}/comet/{metric}.json",
    log:
        "logs/{experiment}/{pair}/score_comet/{system}/{metric}.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/score_comet/{system}/{metric}.jsonl"
    conda:
        "../../envs/comet.yaml"
    resources:
        gpu=1,
        mem_mb=16000,
        runtime="2h",
    params:
        python=COMET_PYTHON,
        system="{system}",
        batch_size=lookup("evaluation/comet/{metric}/batch_size", within=config),
    shell:
        "{params.python} workflow/scripts/score_comet.py --checkpoint {input.checkpoint:q}"
        " --hypotheses {input.hypotheses:q} --test {input.test:q}"
        " --pair {wildcards.pair} --system {params.system}"
        " --batch-size {params.batch_size} --threads {threads}"
        " --segments {output.segments:q} --score {output.score:q} --log {log:q}"


# The same of what the running text of whole talks was cut to.
use rule score_comet as score_talks_by_comet with:
    input:
        environment=ancient(COMET_ENVIRONMENT),
        checkpoint="results/{experiment}/comet/{metric}.json",
        hypotheses="results/{experiment}/{pair}/submission/{entry}/resegmented.jsonl",
        test="results/{experiment}/{pair}/data/test.jsonl",
    output:
        segments="results/{experiment}/{pair}/submission/{entry}/comet/{metric}.jsonl",
        score="results/{experiment}/{pair}/submission/{entry}/comet/{metric}.json",
    log:
        "logs/{experiment}/{pair}/score_talks_by_comet/{entry}/{metric}.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/score_talks_by_comet/{entry}/{metric}.jsonl"
    params:
        python=COMET_PYTHON,
        system="{entry}",
        batch_size=lookup("evaluation/comet/{metric}/batch_size", within=config),


# The same of what the translation of a test set of the track was cut to.
use rule score_talks_by_comet as score_test_set_by_comet with:
    input:
        environment=ancient(COMET_ENVIRONMENT),
        checkpoint="results/{experiment}/comet/{metric}.json",
        hypotheses="results/{experiment}/{pair}/submission/{entry}/tests/{test}/resegmented.jsonl",
        test="results/{experiment}/{pair}/tests/{test}/references.jsonl",
    output:
        segments="results/{experiment}/{pair}/submission/{entry}/tests/{test}/comet/{metric}.jsonl",
        score="results/{experiment}/{pair}/submission/{entry}/tests/{test}/comet/{metric}.json",
    log:
        "logs/{experiment}/{pair}/score_test_set_by_comet/{entry}/{test}/{metric}.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/score_test_set_by_comet/{entry}/{test}/{metric}.jsonl"


# Score by COMET what an iteration of the search translated without each layer.
rule score_layers_by_comet:
    input:
        environment=ancient(COMET_ENVIRONMENT),
        checkpoint=get_search_comet,
        hypotheses="results/{experiment}/{pair}/pruning/comet/iter_{k}/hypotheses.jsonl",
        segments=SEARCH_SEGMENTS,
    output:
        scores="results/{experiment}/{pair}/pruning/comet/iter_{k}/comet.csv",
    log:
        "logs/{experiment}/{pair}/score_layers_by_comet/{k}.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/score_layers_by_comet/{k}.jsonl"
    conda:
        "../../envs/comet.yaml"
    resources:
        gpu=1,
        mem_mb=16000,
        runtime="2h",
    params:
        python=COMET_PYTHON,
        batch_size=lookup(
            f"evaluation/comet/{config['pruning']['comet']}/batch_size",
            within=config,
            default=None,
        ),
    shell:
        "{params.python} workflow/scripts/score_layers_by_comet.py --checkpoint {input.checkpoint:q}"
        " --hypotheses {input.hypotheses:q} --segments {input.segments:q}"
        " --batch-size {params.batch_size} --threads {threads}"
        " --scores {output.scores:q} --log {log:q}"
