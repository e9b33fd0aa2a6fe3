"""Cut the running text of each talk to the references, and score it as IWSLT does."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import read_jsonl, write_json, write_jsonl
from slimspeech.evaluation.metrics import align, score, score_talks
from slimspeech.evaluation.resegmentation import read_talks, resegment
from slimspeech.languages import target_code

pair, metrics = snakemake.wildcards.pair, snakemake.params.metrics
language = target_code(pair)
segments = read_jsonl(snakemake.input.test)
rows = resegment(read_talks(snakemake.input.talks, segments), segments, language)
texts = align(rows, segments)
write_jsonl(snakemake.output.hypotheses, rows)
write_json(
    snakemake.output.scores,
    {
        "pair": pair,
        "system": snakemake.wildcards.entry,
        "segments": len(segments),
        "metrics": score(*texts, language, metrics),
        "talks": score_talks(segments, *texts, language, metrics),
    },
)
