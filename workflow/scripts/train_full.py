"""Train all weights of a model on a mix of manifests: the teacher, or a student's stage."""

from slimspeech.job import start

start(snakemake)

from slimspeech.training.stage import Stage, run_stage

run_stage(Stage.of(snakemake, snakemake.output.model))
