"""Fetch a repository of the Hugging Face Hub, at one revision."""

from slimspeech.hub.download import download_snapshot
from slimspeech.logs import log_to

log_to(snakemake.log[0])
download_snapshot(
    snakemake.params.repository,
    snakemake.params.revision,
    snakemake.output[0],
    kind=snakemake.params.kind,
    patterns=snakemake.params.patterns,
)
