"""Measure how much of an adapter's effect is left after merging and packing."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import read_jsonl, write_json
from slimspeech.evaluation.packing import Forms, measure_packing
from slimspeech.models.prompts import Prompt

files, params = snakemake.input, snakemake.params
packing = measure_packing(
    Forms(files.start, files.adapter, files.merged or None, files.packed),
    read_jsonl(files.validation),
    Prompt.of(params.prompt, params.languages),
)
write_json(snakemake.output.packing, {"merge": params.merge, **packing})
