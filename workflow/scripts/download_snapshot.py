"""Fetch a repository of the Hugging Face Hub, at one revision."""

from slimspeech.job import start

start(snakemake)

from slimspeech.hub.download import download_snapshot

download_snapshot(
    snakemake.params.repository,
    snakemake.params.revision,
    snakemake.output[0],
    kind=snakemake.params.kind,
    patterns=snakemake.params.patterns,
)
