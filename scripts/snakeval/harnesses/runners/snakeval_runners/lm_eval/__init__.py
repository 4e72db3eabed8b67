"""Runs one lm-evaluation-harness task against an endpoint; lives in the lm-eval environment, never imports snakeval."""
