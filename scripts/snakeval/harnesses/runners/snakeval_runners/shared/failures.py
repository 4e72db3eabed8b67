"""What can go wrong while a task runs, in the words that users read."""

from .outcome import FailureKind, FailureRecord, SampleCounts


class RunnerError(Exception):
    """Ends the runner without an outcome; written to error.json.

    Attributes:
        record: What to write.
    """

    def __init__(self, kind: FailureKind, message: str, counts: SampleCounts | None = None) -> None:
        self.record = FailureRecord(kind, message, counts)
        super().__init__(message)
