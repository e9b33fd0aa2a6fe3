"""Choose the tokens that a student keeps by its training data, its prompt and further texts."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import write_json
from slimspeech.budget.chosen import chosen
from slimspeech.models.loading import load_processor
from slimspeech.models.prompts import Prompt
from slimspeech.quantization.trim import named_tokens, saved_tokenizer
from slimspeech.quantization.vocabulary import Texts, VocabularySettings, choose_vocabulary

files, params = snakemake.input, snakemake.params
processor = load_processor(files.model)
prompt = Prompt.of(params.prompt, params.languages)
vocabulary = choose_vocabulary(
    saved_tokenizer(processor),
    named_tokens(files.model, processor, prompt.ids(processor, snakemake.wildcards.pair, 1)),
    Texts.read(files.targets, files.texts, files.held_out),
    VocabularySettings(chosen(files.choice, "vocabulary", params.size), params.scripts),
)
write_json(snakemake.output.vocabulary, vocabulary)
