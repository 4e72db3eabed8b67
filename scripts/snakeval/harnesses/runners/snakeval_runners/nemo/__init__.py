"""Runs a harness of NVIDIA's by the core of NeMo Evaluator, in the harness's own environment."""
