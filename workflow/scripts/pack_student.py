"""Quantise a trained student once and write the directory that is scored and downloaded."""

from slimspeech.job import start

start(snakemake)

from slimspeech.budget.chosen import chosen
from slimspeech.quantization.pack import pack

pack(
    snakemake.input.model,
    snakemake.output.packed,
    chosen(snakemake.input.choice, "quantization", snakemake.params.quantization),
    memory=snakemake.resources.mem_mb * 10**6,
    adapter=snakemake.input.adapter or None,
    without=snakemake.params.without,
)
