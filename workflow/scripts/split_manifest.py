"""Divide the segments of a pair into train, validation and test manifests."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import read_jsonl, write_jsonl
from slimspeech.data.splits import SplitSettings, manifest, split

parts = split(read_jsonl(snakemake.input.segments), SplitSettings(**snakemake.params.split))
for name, rows in parts.items():
    write_jsonl(snakemake.output[name], manifest(rows, snakemake.wildcards.pair))
