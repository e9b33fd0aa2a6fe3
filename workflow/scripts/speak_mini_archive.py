"""Speak the mini archive, in the layout of ACL 60/60."""

from slimspeech.logs import log_to
from slimspeech_mini.corpora import write_archive

log_to(snakemake.log[0])
write_archive(snakemake.output[0], snakemake.params.seed)
