"""Comparisons of two deployments, task by task, and gates that decide."""
