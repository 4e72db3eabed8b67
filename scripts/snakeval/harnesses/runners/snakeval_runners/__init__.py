"""Programs that run tasks, each in the environment of its harness; all imports among them are relative.

So one file has two names: programs find this package on their path, and the package `snakeval` finds it inside itself,
to write the files that a program reads and to read those that it leaves. What both sides import needs nothing but
Python.
"""
