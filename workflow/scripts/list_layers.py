"""List the teacher's decoder layers: all are kept before the first iteration."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import write_json
from slimspeech.pruning.layers import list_layers

write_json(snakemake.output.layers, list_layers(snakemake.input.teacher))
