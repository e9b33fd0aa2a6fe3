import torch

from slimspeech.artifacts import read_jsonl, write_jsonl
from slimspeech.logs import log_to
from slimspeech.mini.grammar import sentences
from slimspeech.mini.model import build_model, build_processor, tokenizer_texts
from slimspeech.prompts import Prompt
from slimspeech.qwen2audio import save_model
from slimspeech.training import TrainingSettings, fine_tune

log_to(snakemake.log[0])
torch.set_num_threads(snakemake.threads)

prompt = Prompt.of(snakemake.params.prompt, {})
texts = tokenizer_texts(sentences("talk", 1), prompt, ["en-de", "en-zh"], count=6000)
processor = build_processor(texts, snakemake.params.vocabulary)
model = build_model(processor, seed=snakemake.params.seed)
curve = fine_tune(
    model,
    processor,
    read_jsonl(f"{snakemake.input.corpus}/manifest.jsonl"),
    read_jsonl(f"{snakemake.input.corpus}/validation.jsonl"),
    prompt,
    TrainingSettings(**snakemake.params.training),
    seed=snakemake.params.seed,
    workspace=snakemake.params.workspace,
    workers=snakemake.threads - 1,
)
save_model(model.to(torch.bfloat16), processor, snakemake.output.model)
write_jsonl(snakemake.output.curve, curve)
