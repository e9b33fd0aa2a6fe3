"""Write a trained student, before it is quantised, as serving engines take it."""

from slimspeech.job import start

start(snakemake)

from slimspeech.release.export import export

export(snakemake.input.model, snakemake.output.model)
