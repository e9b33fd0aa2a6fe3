"""Measure what the removal of each layer of a shard costs."""

from slimspeech.job import start

start(snakemake)

from dataclasses import asdict

from slimspeech.artifacts import read_csv, read_json, read_jsonl, write_json
from slimspeech.generation.embeddings import origin, read_embeddings
from slimspeech.generation.translation import GenerationSettings
from slimspeech.models.loading import load_for_inference, load_processor
from slimspeech.models.prompts import Prompt
from slimspeech.pruning.search import SearchSettings, score_removals
from slimspeech.pruning.segments import with_translations
from slimspeech.pruning.selection import candidates
from slimspeech.pruning.shards import number_of, share

generation = GenerationSettings(**snakemake.params.generation)
settings = SearchSettings(**snakemake.params.search)
prompt = Prompt.of(snakemake.params.prompt, snakemake.params.languages)
segments = read_jsonl(snakemake.input.segments)
for path in snakemake.input.translations:
    segments = with_translations(segments, read_jsonl(path))
made_from = origin(snakemake.input.teacher, segments, generation.precision)
layers = read_json(snakemake.input.layers)
kept = layers["kept"]
proposal = [row for path in snakemake.input.proposal for row in read_csv(path)]
protected = (settings.protect_first, settings.protect_last)
shortlist = snakemake.params.shortlist
considered = candidates(kept, *protected, proposal, shortlist, layers.get("may_be_last"))
mine = share(considered, *number_of(snakemake.wildcards.scatteritem))
scores, hypotheses = score_removals(
    load_for_inference(snakemake.input.teacher, generation.precision),
    load_processor(snakemake.input.teacher),
    kept,
    mine,
    segments,
    [clip for path in snakemake.input.embeddings for clip in read_embeddings(path, made_from)],
    prompt,
    generation,
    settings,
)
shard = {
    "shard": snakemake.wildcards.scatteritem,
    "iteration": int(snakemake.wildcards.k),
    "kept": kept,
    **made_from,
    "settings": [asdict(settings), asdict(prompt), asdict(generation)],
    "candidates": considered,
    "scores": scores,
    "hypotheses": hypotheses,
}
write_json(snakemake.output.shard, shard)
