"""The report of a run as one HTML page that needs no network; made of the run's files alone, complete or not."""
