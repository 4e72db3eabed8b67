"""From what a file says of its tasks to frozen `Task` objects."""
