"""Merge an adapter into the weights it was trained on."""

import torch

from slimspeech.logs import log_to
from slimspeech.quantization import merge_adapter
from slimspeech.qwen2audio import load_model, load_processor, save_model

log_to(snakemake.log[0])
torch.set_num_threads(snakemake.threads)

model = load_model(snakemake.input.model, torch.bfloat16)
merged = merge_adapter(model, snakemake.input.adapter)
save_model(merged, load_processor(snakemake.input.model), snakemake.output.model)
