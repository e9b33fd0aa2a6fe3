"""Compute the audio embeddings of the segments that the search translates."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import read_jsonl
from slimspeech.generation.embeddings import encode_clips, origin, read_clips, write_embeddings
from slimspeech.models.loading import load_for_inference, load_processor

precision = snakemake.params.precision
segments = read_jsonl(snakemake.input.segments)
processor = load_processor(snakemake.input.teacher)
clips = encode_clips(
    load_for_inference(snakemake.input.teacher, precision),
    processor,
    read_clips(segments, processor),
)
made_from = origin(snakemake.input.teacher, segments, precision)
write_embeddings(snakemake.output.embeddings, clips, made_from)
