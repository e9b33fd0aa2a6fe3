"""Measure how much longer text gets with each size of a student's vocabulary."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import write_json
from slimspeech.models.loading import load_processor
from slimspeech.models.prompts import Prompt
from slimspeech.quantization.trim import named_tokens, saved_tokenizer
from slimspeech.quantization.vocabulary import Texts, longer_texts

files, params = snakemake.input, snakemake.params
processor = load_processor(files.model)
prompt = Prompt.of(params.prompt, params.languages)
lengths = longer_texts(
    saved_tokenizer(processor),
    named_tokens(files.model, processor, prompt.ids(processor, snakemake.wildcards.pair, 1)),
    Texts.read(files.targets, files.texts, files.held_out),
    params.sizes,
    params.scripts,
)
write_json(snakemake.output.vocabularies, lengths)
