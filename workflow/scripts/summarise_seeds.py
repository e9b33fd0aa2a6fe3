"""Put the scores of all seeds into one table: means, spread and intervals."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import read_jsonl, write_csv, write_text
from slimspeech.evaluation.seeds import seeds_markdown, summarise_seeds

tests = dict(zip(snakemake.params.pairs, snakemake.input.test, strict=True))
hypotheses = {pair: {} for pair in tests}
for run, path in zip(snakemake.params.evaluated, snakemake.input.hypotheses, strict=True):
    hypotheses[run["pair"]].setdefault(run["system"], []).append(read_jsonl(path))
rows = [
    row
    for pair, path in tests.items()
    for row in summarise_seeds(pair, read_jsonl(path), hypotheses[pair])
]
write_csv(snakemake.output.csv, rows)
write_text(snakemake.output.markdown, seeds_markdown(rows, snakemake.params.languages))
