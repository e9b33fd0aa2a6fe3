"""Put the removals of every pair and search into one table."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import read_json, write_csv, write_text
from slimspeech.pruning.layer_table import layers_markdown, tabulate_layers

results = [read_json(path) for path in snakemake.input.layers]
rows = tabulate_layers(snakemake.params.removals, results)
write_csv(snakemake.output.csv, rows)
write_text(snakemake.output.markdown, layers_markdown(rows, snakemake.params.languages))
