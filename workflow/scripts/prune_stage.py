"""Prune a student between two trainings: search and removal in one."""

from slimspeech.job import start

start(snakemake)

import torch

from slimspeech.artifacts import read_jsonl, write_csv, write_json
from slimspeech.generation.translation import GenerationSettings
from slimspeech.models.loading import load_for_inference, load_processor, save_model
from slimspeech.models.prompts import Prompt
from slimspeech.pruning.search import SearchSettings, prune

generation = GenerationSettings(**snakemake.params.generation)
processor = load_processor(snakemake.input.model)
model = load_for_inference(snakemake.input.model, generation.precision)
layers, scores = prune(
    model,
    processor,
    snakemake.params.part,
    snakemake.params.layers,
    read_jsonl(snakemake.input.segments),
    Prompt.of(snakemake.params.prompt, snakemake.params.languages),
    generation,
    SearchSettings(**snakemake.params.search),
)
save_model(model.to(torch.bfloat16), processor, snakemake.output.model)
write_json(snakemake.output.layers, layers)
write_csv(snakemake.output.scores, scores)
