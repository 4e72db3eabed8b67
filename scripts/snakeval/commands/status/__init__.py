"""`snakeval status`: what the servers and tasks of a run do right now."""
