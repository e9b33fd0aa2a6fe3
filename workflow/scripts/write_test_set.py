"""Write a system's translation of a test set of the track, one line a segment."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import read_jsonl
from slimspeech.release.iwslt import plain_lines, write_lines, write_whole_set

files, output = snakemake.input, snakemake.output
lines = plain_lines(read_jsonl(files.hypotheses), read_jsonl(files.segments))
write_lines(lines, output.text, output.talks)
write_whole_set(lines, output.talks)
