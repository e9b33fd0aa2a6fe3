"""Measure every removal by a cheap criterion, from which a shortlist is made."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import read_json, read_jsonl, write_csv
from slimspeech.generation.translation import GenerationSettings
from slimspeech.models.loading import load_for_inference, load_processor
from slimspeech.models.prompts import Prompt
from slimspeech.pruning.search import SearchSettings, score_removals
from slimspeech.pruning.stack import removable

generation = GenerationSettings(**snakemake.params.generation)
settings = SearchSettings(**snakemake.params.search)
layers = read_json(snakemake.input.layers)
scores, _ = score_removals(
    load_for_inference(snakemake.input.teacher, generation.precision),
    load_processor(snakemake.input.teacher),
    layers["kept"],
    removable(
        layers["kept"],
        settings.protect_first,
        settings.protect_last,
        layers.get("may_be_last"),
    ),
    read_jsonl(snakemake.input.segments),
    [],
    Prompt.of(snakemake.params.prompt, snakemake.params.languages),
    generation,
    settings,
)
write_csv(snakemake.output.proposal, scores)
