"""The folder of a run: where each file lies, and the files by which processes talk to each other."""
