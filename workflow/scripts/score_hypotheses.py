"""Score one system's translations of the test set: as a whole, by talk and by segment."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import read_jsonl, write_csv, write_json
from slimspeech.evaluation.metrics import align, score, score_talks, segment_rows
from slimspeech.languages import target_code

pair, metrics = snakemake.wildcards.pair, snakemake.params.metrics
language = target_code(pair)
segments = read_jsonl(snakemake.input.test)
hypotheses, references = align(read_jsonl(snakemake.input.hypotheses), segments)
scores = score(hypotheses, references, language, metrics)
talks = score_talks(segments, hypotheses, references, language, metrics)

write_csv(snakemake.output.segments, segment_rows(segments, hypotheses, references, metrics))
write_json(
    snakemake.output.scores,
    {
        "pair": pair,
        "system": snakemake.wildcards.system,
        "segments": len(segments),
        "metrics": scores,
        "talks": talks,
    },
)
