"""One model server: its type, its container, its launch script, and the checks before it starts.

Nothing here knows where the server runs.
"""
