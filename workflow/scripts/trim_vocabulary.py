"""Write a student's model with the tokens of its vocabulary alone."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import read_json
from slimspeech.quantization.trim import trim_model

trim_model(
    snakemake.input.model,
    snakemake.output.model,
    read_json(snakemake.input.vocabulary),
    memory=snakemake.resources.mem_mb * 10**6,
)
