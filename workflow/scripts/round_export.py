"""Write a student's export in 8 bits, as vLLM takes it."""

from slimspeech.job import start

start(snakemake)

from slimspeech.release.int8 import round_export

round_export(snakemake.input.model, snakemake.output.model)
