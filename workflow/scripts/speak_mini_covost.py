"""Speak the mini out-of-domain corpus, in the layout of CoVoST 2."""

from slimspeech.job import start

start(snakemake)

from slimspeech_mini.corpora import write_covost

write_covost(
    snakemake.output[0], snakemake.params.seed, snakemake.params.size, threads=snakemake.threads
)
