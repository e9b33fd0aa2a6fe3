"""Write the references of a test set of the track as a manifest."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import read_jsonl, write_jsonl
from slimspeech.data.test_sets import reference_rows

files, pair = snakemake.input, snakemake.wildcards.pair
rows = reference_rows(read_jsonl(files.segments), pair, files.target, files.source or None)
write_jsonl(snakemake.output.references, rows)
