"""A task's claim on a running deployment: `lease.json`, the temporary output of rules ready and ready_auxiliary."""

from dataclasses import dataclass
from typing import ClassVar

from snakeval.run.record import Record, ServerId


@dataclass(frozen=True)
class Lease(Record):
    """One lease.

    Attributes:
        deployment: What is claimed.
        task: Who claims it: a task, or at an auxiliary deployment an `auxiliary_user`.
        last_attempt: How many attempts rule evaluate has; a job on a cluster does not know it.
        server_id: Which start of the server it was made for; None for an endpoint that was there before.
    """

    SPARSE: ClassVar[bool] = True

    deployment: str
    task: str
    last_attempt: int
    server_id: ServerId | None = None
