"""Speak the corpus that trains the mini base model."""

from pathlib import Path

from slimspeech.logs import log_to
from slimspeech_mini.corpora import write_base_corpus

log_to(snakemake.log[0])
write_base_corpus(
    Path(snakemake.output.manifest).parent,
    snakemake.params.seed,
    snakemake.params.size,
    snakemake.params.archive_seed,
    snakemake.params.held_out,
)
