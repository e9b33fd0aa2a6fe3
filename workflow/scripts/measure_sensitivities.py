"""Measure what the teacher loses when one part of it alone is rounded, or layers are removed."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import read_json, read_jsonl, write_json
from slimspeech.budget.sensitivities import measure_sensitivities
from slimspeech.generation.translation import GenerationSettings
from slimspeech.models.loading import load_for_inference, load_processor
from slimspeech.models.prompts import Prompt

files, params = snakemake.input, snakemake.params
generation = GenerationSettings(**params.generation)
removals = [read_json(path)["removed"] for path in files.layers]
sensitivities = measure_sensitivities(
    load_for_inference(files.teacher, generation.precision),
    load_processor(files.teacher),
    read_jsonl(files.segments),
    dict(zip(params.criteria, removals, strict=True)),
    Prompt.of(params.prompt, params.languages),
    generation,
    params.metric,
)
write_json(snakemake.output.sensitivities, sensitivities)
