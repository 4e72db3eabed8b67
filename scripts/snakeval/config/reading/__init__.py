"""From files, groups and overrides to one tree of values that fits the schemas."""
