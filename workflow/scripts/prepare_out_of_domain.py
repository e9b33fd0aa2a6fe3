"""Draw the out-of-domain manifest of a pair."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import write_jsonl
from slimspeech.data.covost import sample_covost

rows = sample_covost(
    snakemake.input.folder,
    snakemake.wildcards.pair,
    size=snakemake.params.size,
    seed=snakemake.params.seed,
    min_seconds=snakemake.params.min_seconds,
    max_seconds=snakemake.params.max_seconds,
)
write_jsonl(snakemake.output.manifest, rows)
