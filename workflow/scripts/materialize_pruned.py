"""Write the weights of one pruning iteration, from the teacher and the list of kept layers."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import read_json
from slimspeech.pruning.layers import prune_checkpoint

kept = read_json(snakemake.input.layers)["kept"]
memory = snakemake.resources.mem_mb * 10**6
prune_checkpoint(snakemake.input.teacher, snakemake.output.model, kept, memory)
