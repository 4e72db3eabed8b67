"""Runs one task with Inspect; started as a program in Inspect's environment, never imported by Snakeval."""
