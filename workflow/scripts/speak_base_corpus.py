"""Speak the corpus that trains the mini base model."""

from slimspeech.logs import log_to
from slimspeech.mini.corpora import write_base_corpus

log_to(snakemake.log[0])
write_base_corpus(
    snakemake.output[0],
    snakemake.params.seed,
    snakemake.params.size,
    snakemake.params.archive_seed,
    snakemake.params.held_out,
)
