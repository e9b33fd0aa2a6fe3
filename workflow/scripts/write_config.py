"""Put the config of the experiment, with all defaults filled in, beside its results."""

from slimspeech.artifacts import write_json
from slimspeech.logs import log_to

log_to(snakemake.log[0])

write_json(snakemake.output[0], snakemake.params.config)
