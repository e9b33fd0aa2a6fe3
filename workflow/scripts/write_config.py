"""Put the config of the experiment, with all defaults filled in, beside its results."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import write_json

write_json(snakemake.output[0], snakemake.params.config)
