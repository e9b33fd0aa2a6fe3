"""Translate the segments of a manifest with one model, and say how long it took."""

import torch

from slimspeech import one_gpu  # noqa: F401 (first of all: it chooses what the rest will see)
from slimspeech.artifacts import read_jsonl, write_json, write_jsonl
from slimspeech.generation.translation import GenerationSettings, translate_timed
from slimspeech.logs import log_to
from slimspeech.models.prompts import Prompt
from slimspeech.models.qwen2audio import load_for_inference, load_processor

log_to(snakemake.log[0])
torch.set_num_threads(snakemake.threads)

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
