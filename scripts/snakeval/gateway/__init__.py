"""One door for every request of a task: it adapts, limits, sends, judges and remembers.

A program of its own, started for one attempt of one task. It knows no harness, no backend and no configuration file.
"""
