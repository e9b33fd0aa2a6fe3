"""Write the SHA-256 of every file of a packed student."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import write_text
from slimspeech.checksums import sha256_lines

write_text(snakemake.output.hashes, sha256_lines(snakemake.input.model))
