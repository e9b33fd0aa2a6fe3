"""Speak the corpus that trains the mini base model."""

from slimspeech.job import start

start(snakemake)

from pathlib import Path

from slimspeech_mini.corpora import write_base_corpus

write_base_corpus(
    Path(snakemake.output.manifest).parent,
    snakemake.params.seed,
    snakemake.params.size,
    snakemake.params.archive_seed,
    snakemake.params.held_out,
)
