"""Rules ready and evaluate for one task: its lease on a server, and the run of its harness."""
