"""Fetch the official archive of ACL 60/60."""

from slimspeech.data.download import download
from slimspeech.logs import log_to

log_to(snakemake.log[0])
download(
    snakemake.params.url,
    snakemake.output.archive,
    size=snakemake.params.size,
    sha256=snakemake.params.sha256,
)
