"""Snakemake's side: what rules ask for, the session of a call, what a job has in common, stopping."""
