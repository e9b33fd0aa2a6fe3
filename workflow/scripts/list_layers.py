"""List the teacher's decoder layers: all are kept before the first iteration."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import write_json
from slimspeech.models.qwen2audio import read_decoder_layers

count = read_decoder_layers(snakemake.input.teacher)
write_json(snakemake.output.layers, {"kept": list(range(count)), "removed": []})
