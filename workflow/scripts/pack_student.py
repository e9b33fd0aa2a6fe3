"""Quantise a trained student once and write the directory that is scored and downloaded."""

import torch

from slimspeech.logs import log_to
from slimspeech.quantization.pack import pack

log_to(snakemake.log[0])
torch.set_num_threads(snakemake.threads)

pack(
    snakemake.input.model,
    snakemake.output.packed,
    snakemake.params.quantization,
    memory=snakemake.resources.mem_mb * 10**6,
)
