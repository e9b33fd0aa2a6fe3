"""Check that a student's budget lies between its smallest and its largest form."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import write_json
from slimspeech.budget.choice import check_bounds
from slimspeech.models.loading import read_config

bounds = check_bounds(read_config(snakemake.input.model), **snakemake.params.request)
write_json(snakemake.output.bounds, bounds)
