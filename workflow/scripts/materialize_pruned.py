"""Write the weights of one pruning iteration, from the teacher and the list of kept layers."""

import torch

from slimspeech.artifacts import read_json
from slimspeech.logs import log_to
from slimspeech.pruning.layers import prune_checkpoint

log_to(snakemake.log[0])
torch.set_num_threads(snakemake.threads)

kept = read_json(snakemake.input.layers)["kept"]
memory = snakemake.resources.mem_mb * 10**6
prune_checkpoint(snakemake.input.teacher, snakemake.output.model, kept, memory)
