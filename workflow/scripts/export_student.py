"""Write a trained student, before it is quantised, as serving engines take it."""

import torch

from slimspeech.logs import log_to
from slimspeech.release.export import export

log_to(snakemake.log[0])
torch.set_num_threads(snakemake.threads)

export(snakemake.input.model, snakemake.output.model)
