"""Check the raw archive and write its segments as 16 kHz clips."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import write_jsonl
from slimspeech.data.segments import DataSettings, languages_of, prepare_segments

rows = prepare_segments(
    snakemake.input.archive,
    snakemake.output.audio,
    DataSettings(
        max_seconds=snakemake.params.max_seconds,
        min_seconds=snakemake.params.min_seconds,
        long_segments=snakemake.params.long_segments,
        bad_segments=snakemake.params.bad_segments,
    ),
    languages_of(snakemake.params.pairs, snakemake.params.languages),
)
write_jsonl(snakemake.output.segments, rows)
