"""Snakeval: evaluate language models as a declarative Snakemake workflow."""

__version__ = "0.1.0"
