"""Put the shares of an engine's translations together."""

from slimspeech.job import start

start(snakemake)

from pathlib import Path

from slimspeech.artifacts import read_jsonl, write_jsonl
from slimspeech.engines.batch import hypotheses, read_batch, share

segments = read_jsonl(snakemake.input.segments)
rows = []
for answers, prompts in zip(snakemake.input.answers, snakemake.input.prompts, strict=True):
    asked = read_jsonl(prompts)
    read = read_batch(read_jsonl(answers), len(asked))
    rows += hypotheses(read, asked, share(segments, Path(prompts).parent.name))
write_jsonl(snakemake.output.hypotheses, rows)
