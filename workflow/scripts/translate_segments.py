"""Translate the segments of a manifest with one model, and say how long it took."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import read_jsonl, write_json, write_jsonl
from slimspeech.generation.translation import GenerationSettings, translate_timed
from slimspeech.models.loading import load_for_inference, load_processor
from slimspeech.models.prompts import Prompt

generation = GenerationSettings(**snakemake.params.generation)
segments = read_jsonl(snakemake.input.segments)
hypotheses, translation = translate_timed(
    load_for_inference(snakemake.input.model, generation.precision),
    load_processor(snakemake.input.model),
    segments,
    Prompt.of(snakemake.params.prompt, snakemake.params.languages),
    generation,
)
write_jsonl(snakemake.output.hypotheses, hypotheses)
write_json(snakemake.output.translation, translation)
