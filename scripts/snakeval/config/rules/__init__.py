"""Rules about several keys at once, which a schema cannot say."""
