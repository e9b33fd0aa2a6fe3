"""Measure what a system costs to run: load, memory, and speed at several batch sizes."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import read_json, read_jsonl, write_json
from slimspeech.evaluation.cost import CostSettings, measure_cost
from slimspeech.generation.translation import GenerationSettings
from slimspeech.models.prompts import Prompt

cost = measure_cost(
    snakemake.input.model,
    read_jsonl(snakemake.input.test),
    Prompt.of(snakemake.params.prompt, snakemake.params.languages),
    GenerationSettings(**snakemake.params.generation),
    CostSettings(**snakemake.params.cost),
    read_json(snakemake.input.system_size),
)
write_json(
    snakemake.output.cost,
    {"pair": snakemake.wildcards.pair, "system": snakemake.wildcards.system, **cost},
)
