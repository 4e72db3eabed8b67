"""One model server as such: its type, its container, its launch script, what can be checked before it starts.

Nothing here knows where the server runs.
"""
