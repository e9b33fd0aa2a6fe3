"""Count the true weights, decoder layers and bytes of a model directory."""

from slimspeech.artifacts import write_json
from slimspeech.logs import log_to
from slimspeech.models.size import measure_size

log_to(snakemake.log[0])

write_json(snakemake.output.size, measure_size(snakemake.input.model))
