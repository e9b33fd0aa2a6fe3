"""Measure what `torch.save` writes of a model's weights, as the track's organisers measure size."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import write_json
from slimspeech.models.state_dict import state_dict_bytes

write_json(snakemake.output.size, {"bytes": state_dict_bytes(snakemake.input.model)})
