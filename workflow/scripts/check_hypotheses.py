"""List what is suspicious in a system's translations of the test set."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import read_jsonl, write_json
from slimspeech.evaluation.hypothesis_checks import CheckSettings, check_hypotheses

pair = snakemake.wildcards.pair
found = check_hypotheses(
    read_jsonl(snakemake.input.hypotheses),
    read_jsonl(snakemake.input.test),
    pair,
    CheckSettings(**snakemake.params.checks),
)
write_json(
    snakemake.output.checks,
    {"pair": pair, "system": snakemake.wildcards.system, **found},
)
