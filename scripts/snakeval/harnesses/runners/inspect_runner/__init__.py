"""Runs one task with Inspect; started as a program in Inspect's environment, never imported by Snakeval.

Failures, progress and the journal of answers are those of lm_eval_runner, whose modules of these names need no lm-eval.
"""
