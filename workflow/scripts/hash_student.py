"""Write the SHA-256 of every file of a packed student."""

from slimspeech.artifacts import write_text
from slimspeech.checksums import sha256_lines
from slimspeech.logs import log_to

log_to(snakemake.log[0])

write_text(snakemake.output.hashes, sha256_lines(snakemake.input.model))
