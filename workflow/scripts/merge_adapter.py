"""Merge an adapter into the weights it was trained on."""

import torch

from slimspeech.logs import log_to
from slimspeech.quantization.merge import merge_adapter

log_to(snakemake.log[0])
torch.set_num_threads(snakemake.threads)

memory = snakemake.resources.mem_mb * 10**6
merge_adapter(snakemake.input.model, snakemake.input.adapter, snakemake.output.model, memory)
