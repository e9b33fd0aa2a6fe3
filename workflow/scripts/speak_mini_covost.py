"""Speak the mini out-of-domain corpus, in the layout of CoVoST 2."""

from slimspeech.logs import log_to
from slimspeech_mini.corpora import write_covost

log_to(snakemake.log[0])
write_covost(
    snakemake.output[0], snakemake.params.seed, snakemake.params.size, threads=snakemake.threads
)
