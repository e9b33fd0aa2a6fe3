"""Make the mini base model with random weights; teach its encoder to hear, its decoder to read."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import read_jsonl, write_jsonl
from slimspeech.models.loading import save_model
from slimspeech.models.prompts import Prompt
from slimspeech_mini.corpora import reading_sentences
from slimspeech_mini.grammar import sentences
from slimspeech_mini.model import build_model, build_processor, tokenizer_texts
from slimspeech_mini.pretraining import pretrain

seed, pairs = snakemake.params.seed, snakemake.params.pairs
prompt = Prompt.of(snakemake.params.prompt, {})
texts = tokenizer_texts(sentences("talk", seed), prompt, pairs, count=6000)
processor = build_processor(texts, snakemake.params.vocabulary)
model = build_model(processor, seed=seed)
curve = pretrain(
    model,
    processor,
    read_jsonl(snakemake.input.gold)[:: len(pairs)],  # one row an utterance
    reading_sentences(seed, snakemake.params.archive_seed),
    prompt,
    pairs,
    seed=seed,
    workers=snakemake.threads - 1,
)
save_model(model, processor, snakemake.output.model)
write_jsonl(snakemake.output.curve, curve)
