"""Compare all systems of a pair with its teacher: differences, what is retained, how sure."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import read_jsonl, write_json
from slimspeech.evaluation.comparison import compare_systems, read_segment_scores

segments = read_jsonl(snakemake.input.test)
comet = zip(snakemake.input.comet, snakemake.input.comet_summaries, strict=True)
hypotheses = zip(snakemake.params.systems, snakemake.input.hypotheses, strict=True)
comparison = compare_systems(
    snakemake.wildcards.pair,
    segments,
    {system: read_jsonl(path) for system, path in hypotheses},
    snakemake.params.metrics,
    [read_segment_scores(*paths, segments) for paths in comet],
)
write_json(snakemake.output.comparison, comparison)
