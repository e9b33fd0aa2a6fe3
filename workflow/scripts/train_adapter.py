"""Train an adapter on the 4-bit form of a model (QLoRA)."""

from slimspeech.job import start

start(snakemake)

from slimspeech.systems import DATA_PARTS
from slimspeech.training.stage import Stage, run_stage

run_stage(
    Stage(
        model=snakemake.input.model,
        manifests={
            part: snakemake.input[part] for part in DATA_PARTS if snakemake.params.mix.get(part)
        },
        validation=snakemake.input.validation,
        mix=snakemake.params.mix,
        prompt=snakemake.params.prompt,
        languages=snakemake.params.languages,
        training=snakemake.params.training,
        lora=snakemake.params.lora,
        seed=snakemake.params.seed,
        workspace=snakemake.params.workspace,
        workers=snakemake.threads - 1,
        output=snakemake.output.adapter,
        curve=snakemake.output.curve,
    )
)
