"""Put the scores of all seeds into one table: means, spread and intervals."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import read_jsonl, write_csv, write_text
from slimspeech.evaluation.seeds import (
    CONTRAST_COLUMNS,
    contrast_seeds,
    score_seeds,
    seeds_markdown,
    summarise_seeds,
)

tests = dict(zip(snakemake.params.pairs, snakemake.input.test, strict=True))
hypotheses = {pair: {} for pair in tests}
for run, path in zip(snakemake.params.evaluated, snakemake.input.hypotheses, strict=True):
    hypotheses[run["pair"]].setdefault(run["system"], []).append(read_jsonl(path))
results = [score_seeds(pair, read_jsonl(path), hypotheses[pair]) for pair, path in tests.items()]
rows = [row for scores in results for row in summarise_seeds(scores)]
contrasts = [
    row for scores in results for row in contrast_seeds(scores, snakemake.params.contrasts)
]
write_csv(snakemake.output.csv, rows)
write_csv(snakemake.output.contrasts, contrasts, CONTRAST_COLUMNS)
markdown = seeds_markdown(rows, contrasts, snakemake.params.languages)
write_text(snakemake.output.markdown, markdown)
