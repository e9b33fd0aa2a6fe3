"""Merge an adapter into the weights it was trained on."""

from slimspeech.job import start

start(snakemake)

from slimspeech.quantization.merge import merge_adapter

merge_adapter(
    snakemake.input.model,
    snakemake.input.adapter,
    snakemake.output.model,
    memory=snakemake.resources.mem_mb * 10**6,
    into=snakemake.params.into,
)
