"""The error that ends an attempt."""


class RunnerError(Exception):
    """The task cannot be scored.

    Attributes:
        kind: "endpoint" when another attempt may succeed, "harness" when the task itself is at fault.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
