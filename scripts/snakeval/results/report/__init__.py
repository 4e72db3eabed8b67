"""The report of a run as one HTML page that needs no network. It reads only the run's files, complete or not."""
