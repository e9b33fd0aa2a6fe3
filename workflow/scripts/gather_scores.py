"""Put the shards of an iteration together."""

from slimspeech.artifacts import read_json, write_csv, write_jsonl
from slimspeech.logs import log_to
from slimspeech.pruning.shards import gather

log_to(snakemake.log[0])

scores, hypotheses = gather([read_json(path) for path in snakemake.input.shards])
write_jsonl(snakemake.output.hypotheses, hypotheses)
write_csv(snakemake.output.scores, scores)
