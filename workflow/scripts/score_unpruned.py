"""Translate and score the clips of the search with every layer, which the search starts from."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import read_jsonl, write_json, write_jsonl
from slimspeech.generation.embeddings import origin, read_embeddings
from slimspeech.generation.translation import GenerationSettings
from slimspeech.models.loading import load_for_inference, load_processor
from slimspeech.models.prompts import Prompt
from slimspeech.pruning.search import score_unpruned

generation = GenerationSettings(**snakemake.params.generation)
segments = read_jsonl(snakemake.input.segments)
made_from = origin(snakemake.input.teacher, segments, generation.precision)
score, hypotheses = score_unpruned(
    load_for_inference(snakemake.input.teacher, generation.precision),
    load_processor(snakemake.input.teacher),
    segments,
    read_embeddings(snakemake.input.embeddings, made_from),
    Prompt.of(snakemake.params.prompt, snakemake.params.languages),
    generation,
    snakemake.params.metric,
)
write_jsonl(snakemake.output.hypotheses, hypotheses)
write_json(snakemake.output.score, score)
