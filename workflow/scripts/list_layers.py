"""List the teacher's decoder layers: all are kept before the first iteration."""

from slimspeech.artifacts import write_json
from slimspeech.logs import log_to
from slimspeech.models.qwen2audio import read_decoder_layers

log_to(snakemake.log[0])

count = read_decoder_layers(snakemake.input.teacher)
write_json(snakemake.output.layers, {"kept": list(range(count)), "removed": []})
