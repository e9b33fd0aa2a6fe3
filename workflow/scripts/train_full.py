"""Train all weights of a model on a mix of manifests: the teacher, or a student's stage."""

from slimspeech.job import start

start(snakemake)

import torch

from slimspeech.artifacts import read_jsonl, write_jsonl
from slimspeech.models.loading import load_model, load_processor, save_model
from slimspeech.models.prompts import Prompt
from slimspeech.training.distillation import read_mix
from slimspeech.training.fine_tuning import TrainingSettings, fine_tune
from slimspeech.training.gpu_memory import warn_about_memory

settings = TrainingSettings(**snakemake.params.training)
rows = read_mix(snakemake.input, snakemake.params.mix)
warn_about_memory(snakemake.input.model, rows, settings)
processor = load_processor(snakemake.input.model)
model = load_model(snakemake.input.model, settings.weights)
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
save_model(model.to(torch.bfloat16), processor, snakemake.output.model)
write_jsonl(snakemake.output.curve, curve)
