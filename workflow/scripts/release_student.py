"""Assemble the release of a student: its files, facts, model card and hashes."""

from slimspeech.job import start

start(snakemake)

from pathlib import Path

from slimspeech.artifacts import read_json
from slimspeech.release.card.card import model_card
from slimspeech.release.metadata import Measurements, compose_layers, describe
from slimspeech.release.package import write_release
from slimspeech.systems import chosen_recipe

files, params = snakemake.input, snakemake.params
config = params.config
for path in files.choice:
    config = config | {"recipe": chosen_recipe(config["recipe"], read_json(path))}
layers = [read_json(path) for path in files.layers]
measured = Measurements(
    sizes=dict(zip(params.systems, map(read_json, files.sizes), strict=True)),
    costs=dict(zip(params.timed, map(read_json, files.costs), strict=True)),
    comparison=read_json(files.comparison[0]) if files.comparison else None,
    vocabulary=read_json(files.vocabulary[0]) if files.vocabulary else None,
    packing=read_json(files.packing[0]) if files.packing else None,
    engines=list(map(read_json, files.engines)),
)
facts = describe(
    snakemake.wildcards.student,
    snakemake.wildcards.pair,
    config,
    compose_layers(layers[0], list(zip(params.pruned, layers[1:], strict=True))),
    measured,
    read_json(files.corpora),
    files.packed,
)
hashes = Path(files.hashes).read_text(encoding="utf-8")
write_release(files.packed, snakemake.output.release, facts, model_card(facts), hashes)
