"""Write a test set of the track as 16 kHz clips, in the organisers' order."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import write_jsonl
from slimspeech.data.test_sets import prepare_test_set

files, wildcards = snakemake.input, snakemake.wildcards
rows = prepare_test_set(
    files.folder, wildcards.test, files.segments or None, snakemake.output.audio
)
write_jsonl(snakemake.output.segments, [row | {"pair": wildcards.pair} for row in rows])
