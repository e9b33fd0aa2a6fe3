"""Fetch the official archive of ACL 60/60."""

from slimspeech.job import start

start(snakemake)

from slimspeech.data.download import download

download(
    snakemake.params.url,
    snakemake.output.archive,
    size=snakemake.params.size,
    sha256=snakemake.params.sha256,
)
