"""Score the teacher's translations without each removable layer in turn."""

import torch

from slimspeech.artifacts import read_json, read_jsonl, write_csv, write_jsonl
from slimspeech.generation import GenerationSettings
from slimspeech.logs import log_to
from slimspeech.prompts import Prompt
from slimspeech.pruning import SearchSettings, score_removals
from slimspeech.qwen2audio import load_for_inference, load_processor

log_to(snakemake.log[0])
torch.set_num_threads(snakemake.threads)

generation = GenerationSettings(**snakemake.params.generation)
scores, hypotheses = score_removals(
    load_for_inference(snakemake.input.teacher, generation.precision),
    load_processor(snakemake.input.teacher),
    read_json(snakemake.input.layers)["kept"],
    read_jsonl(snakemake.input.segments)[: snakemake.params.clips],
    Prompt.of(snakemake.params.prompt, snakemake.params.languages),
    generation,
    SearchSettings(**snakemake.params.search),
)
write_jsonl(snakemake.output.hypotheses, hypotheses)
write_csv(snakemake.output.scores, scores)
