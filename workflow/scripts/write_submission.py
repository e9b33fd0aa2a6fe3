"""Write a system's translations of the test set as IWSLT takes them, and what is to be declared."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import read_json, read_jsonl, write_json
from slimspeech.release.iwslt import declaration, plain_lines, write_lines
from slimspeech.systems import chosen_recipe

pair, system = snakemake.wildcards.pair, snakemake.wildcards.system
lines = plain_lines(read_jsonl(snakemake.input.hypotheses), read_jsonl(snakemake.input.test))
size = read_json(snakemake.input.system_size)
recipe = snakemake.params.recipe
for path in snakemake.input.choice:
    recipe = chosen_recipe(recipe, read_json(path))
write_lines(lines, snakemake.output.text, snakemake.output.talks)
write_json(
    snakemake.output.declaration,
    declaration(pair, system, lines, size, recipe),
)
