"""Drop the layer whose absence scores best."""

from slimspeech.artifacts import read_csv, read_json, write_json
from slimspeech.logs import log_to
from slimspeech.selection import drop_least_important

log_to(snakemake.log[0])

layers = drop_least_important(read_json(snakemake.input.layers), read_csv(snakemake.input.scores))
write_json(snakemake.output.layers, layers)
