"""Put the scores, sizes and speeds of every pair and system into one table."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import read_json, write_csv, write_text
from slimspeech.evaluation.score_table import markdown, tabulate

rows = tabulate(
    scores=[read_json(path) for path in snakemake.input.scores],
    sizes=[read_json(path) for path in snakemake.input.sizes],
    translations=[read_json(path) for path in snakemake.input.translations],
    comet=[read_json(path) for path in snakemake.input.comet],
    comparisons=[read_json(path) for path in snakemake.input.comparisons],
)
write_csv(snakemake.output.csv, rows)
write_text(snakemake.output.markdown, markdown(rows, snakemake.params.languages))
