"""Count the true weights, decoder layers and bytes of a model directory."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import write_json
from slimspeech.models.size import measure_size

write_json(snakemake.output.size, measure_size(snakemake.input.model))
