"""Put the removals of every pair and search into one table."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import read_json, read_jsonl, write_csv, write_text
from slimspeech.pruning.layer_table import layers_markdown, tabulate_layers
from slimspeech.pruning.segments import describe_segments

results = [read_json(path) for path in snakemake.input.layers]
rows = tabulate_layers(snakemake.params.removals, results)
write_csv(snakemake.output.csv, rows)
searched = {
    pair: describe_segments(read_jsonl(path), snakemake.params.order)
    for pair, path in zip(snakemake.params.pairs, snakemake.input.segments, strict=True)
}
write_text(snakemake.output.markdown, layers_markdown(rows, snakemake.params.languages, searched))
