"""Score one system's translations of the test set, as a whole and segment by segment."""

from slimspeech.artifacts import read_jsonl, write_csv, write_json
from slimspeech.languages import target_code
from slimspeech.logs import log_to
from slimspeech.metrics import align, score, segment_rows

log_to(snakemake.log[0])

pair, metrics = snakemake.wildcards.pair, snakemake.params.metrics
segments = read_jsonl(snakemake.input.test)
hypotheses, references = align(read_jsonl(snakemake.input.hypotheses), segments)
scores = score(hypotheses, references, target_code(pair), metrics)

write_csv(snakemake.output.segments, segment_rows(segments, hypotheses, references, metrics))
write_json(
    snakemake.output.scores,
    {
        "pair": pair,
        "system": snakemake.wildcards.system,
        "segments": len(segments),
        "metrics": scores,
    },
)
