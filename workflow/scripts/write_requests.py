"""Write clips as requests to a serving engine, and the prompts' tokens as ours are."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import read_jsonl, write_jsonl
from slimspeech.engines.batch import batch, prompts, share
from slimspeech.generation.embeddings import read_clips
from slimspeech.models.loading import load_processor
from slimspeech.models.prompts import Prompt

params = snakemake.params
processor = load_processor(snakemake.input.model)
segments = read_jsonl(snakemake.input.segments)[: params.clips]
clips = read_clips(share(segments, snakemake.wildcards.get("scatteritem")), processor)
prompt = Prompt.of(params.prompt, params.languages)
rate = processor.feature_extractor.sampling_rate
limit = params.generation["max_new_tokens"]
write_jsonl(snakemake.output.requests, batch(clips, rate, prompt, limit))
write_jsonl(snakemake.output.prompts, prompts(clips, processor, prompt))
