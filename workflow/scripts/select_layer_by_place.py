"""Drop a layer by its place in the stack or on a list, without measuring."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import read_json, write_json
from slimspeech.pruning.selection import drop_by_place

layers = read_json(snakemake.input.layers)
criterion = snakemake.wildcards.criterion
dropped = drop_by_place(
    layers, criterion, *snakemake.params.protected, listed=snakemake.params.listed
)
write_json(snakemake.output.layers, dropped)
