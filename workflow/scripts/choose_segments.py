"""Choose the segments that the searches for layers translate or measure."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import read_jsonl, write_jsonl
from slimspeech.pruning.segments import choose_segments

rows = read_jsonl(snakemake.input.segments)
chosen = choose_segments(rows, snakemake.params.clips, snakemake.params.order)
write_jsonl(snakemake.output.segments, chosen)
