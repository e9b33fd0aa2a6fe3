"""Speak the mini archive, in the layout of ACL 60/60."""

from slimspeech.job import start

start(snakemake)

from slimspeech_mini.corpora import write_archive

write_archive(snakemake.output[0], snakemake.params.seed)
