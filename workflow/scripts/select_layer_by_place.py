"""Drop a layer by its place in the stack or on a list, without measuring."""

from slimspeech.artifacts import read_json, write_json
from slimspeech.logs import log_to
from slimspeech.pruning.selection import drop_by_place

log_to(snakemake.log[0])

layers = read_json(snakemake.input.layers)
criterion = snakemake.wildcards.criterion
dropped = drop_by_place(
    layers, criterion, *snakemake.params.protected, listed=snakemake.params.listed
)
write_json(snakemake.output.layers, dropped)
