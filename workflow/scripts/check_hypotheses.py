"""List what is suspicious in a system's translations of the test set."""

from slimspeech.artifacts import read_jsonl, write_json
from slimspeech.evaluation.hypothesis_checks import CheckSettings, check_hypotheses
from slimspeech.logs import log_to

log_to(snakemake.log[0])

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
