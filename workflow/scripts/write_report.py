"""Write the report of an experiment, of whatever it has so far."""

from slimspeech.job import start

start(snakemake)

from slimspeech.report.report import write_report

write_report(snakemake.params.config, snakemake.input.published)
