"""Put the shards of an iteration together."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import read_json, write_csv, write_jsonl
from slimspeech.pruning.shards import gather

scores, hypotheses = gather([read_json(path) for path in snakemake.input.shards])
write_jsonl(snakemake.output.hypotheses, hypotheses)
write_csv(snakemake.output.scores, scores)
