"""A model server that is up and answers."""
