"""Join the teacher's translations of its training audio to gold and drop what adds nothing."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import read_jsonl, write_json, write_jsonl
from slimspeech.languages import target_code
from slimspeech.training.distillation import DistillationSettings, build

settings = DistillationSettings(
    length_ratio=snakemake.params.length_ratio,
    max_repetition=snakemake.params.max_repetition,
    min_chrf=snakemake.params.min_chrf,
)
rows, summary = build(
    gold=read_jsonl(snakemake.input.gold),
    translations=read_jsonl(snakemake.input.translations),
    settings=settings,
    target_language=target_code(snakemake.wildcards.pair),
)
write_jsonl(snakemake.output.distilled, rows)
write_json(snakemake.output.summary, summary)
