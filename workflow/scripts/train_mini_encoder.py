"""Make a mini Qwen2-Audio with random weights, and teach its audio encoder to hear."""

import torch

from slimspeech.artifacts import read_jsonl, write_jsonl
from slimspeech.logs import log_to
from slimspeech.mini.grammar import sentences
from slimspeech.mini.listening import letters, train_listening, words
from slimspeech.mini.model import build_model, build_processor, tokenizer_texts
from slimspeech.prompts import Prompt
from slimspeech.qwen2audio import save_model

log_to(snakemake.log[0])
torch.set_num_threads(snakemake.threads)

prompt = Prompt.of(snakemake.params.prompt, {})
texts = tokenizer_texts(sentences("talk", 1), prompt, ["en-de", "en-zh"], count=6000)
processor = build_processor(texts, snakemake.params.vocabulary)
model = build_model(processor, seed=snakemake.params.seed)
segments = read_jsonl(snakemake.input.gold)[::2]  # one row an utterance: the languages share it
curve = [
    {"units": units.__name__} | entry
    for turn, units in enumerate((letters, words))
    for entry in train_listening(
        model,
        processor,
        segments,
        units,
        epochs=snakemake.params.epochs[units.__name__],
        batch_size=snakemake.params.batch_size,
        learning_rate=snakemake.params.learning_rate,
        seed=snakemake.params.seed + turn,
        workers=snakemake.threads - 1,
    )
]
save_model(model, processor, snakemake.output.model)
write_jsonl(snakemake.output.curve, curve)
