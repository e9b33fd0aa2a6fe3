"""Train an adapter on the 4-bit form of a model (QLoRA)."""

from slimspeech.job import start

start(snakemake)

from functools import partial

import torch

from slimspeech.artifacts import read_jsonl, write_directory, write_jsonl
from slimspeech.models.loading import load_model, load_processor
from slimspeech.models.prompts import Prompt
from slimspeech.quantization.nf4 import nf4
from slimspeech.training.distillation import read_mix
from slimspeech.training.fine_tuning import (
    LoraSettings,
    TrainingSettings,
    add_adapter,
    fine_tune,
    save_adapter,
)
from slimspeech.training.gpu_memory import warn_about_memory

settings = TrainingSettings(**snakemake.params.training)
lora = LoraSettings(**snakemake.params.lora)
rows = read_mix(snakemake.input, snakemake.params.mix)
warn_about_memory(snakemake.input.model, rows, settings, lora)
processor = load_processor(snakemake.input.model)
model = load_model(snakemake.input.model, torch.bfloat16, quantization=nf4())
model = add_adapter(model, lora, seed=snakemake.params.seed)
curve = fine_tune(
    model,
    processor,
    rows,
    read_jsonl(snakemake.input.validation),
    Prompt.of(snakemake.params.prompt, snakemake.params.languages),
    settings,
    seed=snakemake.params.seed,
    workspace=snakemake.params.workspace,
    workers=snakemake.threads - 1,
)
write_directory(snakemake.output.adapter, partial(save_adapter, model))
write_jsonl(snakemake.output.curve, curve)
