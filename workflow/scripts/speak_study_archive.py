"""Speak the archive of the study, in the layout of ACL 60/60."""

from slimspeech.job import start

start(snakemake)

from slimspeech_mini.corpora import write_study_archive

write_study_archive(snakemake.output[0], **snakemake.params)
