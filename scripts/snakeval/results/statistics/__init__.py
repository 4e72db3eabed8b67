"""Uncertainty of scores and of their differences: pure functions over numbers, no files.

`scores` holds what they work on, `estimates` the uncertainty of one score, `paired` that of a difference. scipy is
imported where it is used: most intervals do not need it, and it takes a second to load.
"""
