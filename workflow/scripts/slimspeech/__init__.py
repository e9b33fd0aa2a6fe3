"""Compress speech-translation models. Knows no Snakemake: the rules call it, see docs/steps.md."""

__version__ = "0.1.0"
