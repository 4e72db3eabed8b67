"""`snakeval tasks`: the tasks that a configuration can name."""
