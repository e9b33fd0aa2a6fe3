"""Write a student's export in 8 or 4 bits, as vLLM takes it."""

from slimspeech.job import start

start(snakemake)

from slimspeech.release.rounding import Rounding, round_export

rounding = Rounding(form=snakemake.wildcards.form, group=snakemake.params.group)
round_export(snakemake.input.model, snakemake.output.model, rounding)
