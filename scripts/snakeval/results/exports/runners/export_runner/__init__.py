"""Exports results with the client of a tracker, or pyarrow, in the environment of that library."""
