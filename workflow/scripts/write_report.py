"""Write the report of an experiment, of whatever it has so far."""

from slimspeech.logs import log_to
from slimspeech.report.report import write_report

log_to(snakemake.log[0])

write_report(snakemake.params.config, snakemake.input.published)
