"""Choose the tokens that a student keeps by its training data, its prompt and further texts."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import read_jsonl, read_text, write_json
from slimspeech.models.loading import load_processor
from slimspeech.models.prompts import Prompt
from slimspeech.quantization.trim import named_tokens, saved_tokenizer
from slimspeech.quantization.vocabulary import Texts, VocabularySettings, choose_vocabulary

files, params = snakemake.input, snakemake.params
processor = load_processor(files.model)
prompt = Prompt.of(params.prompt, params.languages)
texts = Texts(
    targets=[row["target"].strip() for path in files.targets for row in read_jsonl(path)],
    others=[line for path in files.texts for line in read_text(path).splitlines()],
    held_out=[row["target"].strip() for row in read_jsonl(files.held_out)],
)
vocabulary = choose_vocabulary(
    saved_tokenizer(processor),
    named_tokens(files.model, processor, prompt.ids(processor, snakemake.wildcards.pair, 1)),
    texts,
    VocabularySettings(params.size, params.scripts),
)
write_json(snakemake.output.vocabulary, vocabulary)
