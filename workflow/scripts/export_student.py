"""Write a trained student, before it is quantised, as serving engines take it."""

import torch

from slimspeech.exporting import export
from slimspeech.logs import log_to

log_to(snakemake.log[0])
torch.set_num_threads(snakemake.threads)

export(snakemake.input.model, snakemake.output.model)
