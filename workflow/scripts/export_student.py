"""Write a trained student, before it is quantised, as serving engines take it."""

from slimspeech.job import start

start(snakemake)

from slimspeech.release.export import export

files = snakemake.input
export(files.model, snakemake.output.model, adapter=files.adapter or None)
