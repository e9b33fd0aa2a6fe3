"""Train an adapter on the 4-bit form of a model (QLoRA)."""

from slimspeech.job import start

start(snakemake)

from slimspeech.training.stage import Stage, run_stage

run_stage(Stage.of(snakemake, snakemake.output.adapter, lora=snakemake.params.lora))
