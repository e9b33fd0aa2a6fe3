"""Compare an engine's words with our own, and stop if it lost too much."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import read_json, read_jsonl, write_json, write_jsonl
from slimspeech.engines.batch import hypotheses, read_batch
from slimspeech.evaluation.parity import compare_words, require_parity
from slimspeech.systems import TEACHER

files, params, wildcards = snakemake.input, snakemake.params, snakemake.wildcards
segments = read_jsonl(files.test)[: params.clips]
prompts = read_jsonl(files.prompts)
answers = read_batch(read_jsonl(files.answers), len(prompts))
rows = hypotheses(answers, prompts, segments)
own = read_jsonl(files.own)[: len(segments)]
parity = {
    "pair": wildcards.pair,
    "student": wildcards.get("student", TEACHER),
    "form": wildcards.get("form", "bf16"),
    **read_json(files.engine),
    **compare_words(wildcards.pair, segments, own, rows, answers, prompts),
}
require_parity(parity, params.threshold)
write_jsonl(snakemake.output.hypotheses, rows)
write_json(snakemake.output.parity, parity)
