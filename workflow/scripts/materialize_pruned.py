"""Write the weights of one pruning iteration, from the teacher and the list of kept layers."""

import torch

from slimspeech.artifacts import read_json
from slimspeech.logs import log_to
from slimspeech.pruning import keep_layers
from slimspeech.qwen2audio import load_model, load_processor, save_model

log_to(snakemake.log[0])
torch.set_num_threads(snakemake.threads)

model = load_model(snakemake.input.teacher, torch.bfloat16)
keep_layers(model, read_json(snakemake.input.layers)["kept"])
save_model(model, load_processor(snakemake.input.teacher), snakemake.output.model)
