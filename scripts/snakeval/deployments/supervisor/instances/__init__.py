"""Several instances of one server behind a router made for LLM serving (`execution.num_instances`).

`plan` is what the rest of Snakeval needs to know of it; `front`, `step` and `router` run inside the server's job.
"""
