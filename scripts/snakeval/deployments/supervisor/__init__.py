"""The program that runs beside a model server: it starts the server, watches it and ends it."""
