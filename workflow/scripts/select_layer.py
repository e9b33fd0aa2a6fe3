"""Drop the layer whose removal costs least."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import read_csv, read_json, read_jsonl, write_json
from slimspeech.pruning.selection import candidates, drop_least_important

layers = read_json(snakemake.input.layers)
proposal = [row for path in snakemake.input.proposal for row in read_csv(path)]
dropped = drop_least_important(
    layers,
    [row for path in snakemake.input.comet for row in read_csv(path)]
    or read_csv(snakemake.input.scores),
    candidates(
        layers["kept"],
        *snakemake.params.protected,
        proposal,
        snakemake.params.shortlist,
        layers.get("may_be_last"),
    ),
    read_jsonl(snakemake.input.hypotheses),
    read_jsonl(snakemake.input.segments),
)
write_json(snakemake.output.layers, dropped)
