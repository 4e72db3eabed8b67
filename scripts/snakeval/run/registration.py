"""The state file of a server as its supervisor writes it, safe against a supervisor that a newer one has replaced."""

import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snakeval.system.files import read_json, write_json
from snakeval.system.processes import start_time


@dataclass(frozen=True)
class Registration:
    """One supervisor's right to `state.json`.

    Attributes:
        file: `server/state.json`.
        server_id: Which start of the server it is.
        incarnation: How often a batch system has begun the job of this start again; 0 elsewhere.
    """

    file: Path
    server_id: str
    incarnation: int

    def previous(self) -> dict[str, Any]:
        """Return what is on record of this start of the server, nothing when the record is another start's."""
        record = read_json(self.file) or {}
        return dict(record) if record.get("server_id") == self.server_id else {}

    def is_superseded(self) -> bool:
        """Return whether the record belongs to a newer start, or to a newer incarnation of this one."""
        record = read_json(self.file)
        if record is None:
            return False
        return bool(record.get("server_id") != self.server_id or int(record.get("incarnation") or 0) > self.incarnation)

    def write(self, state: str, reason: str | None, **facts: Any) -> None:
        """Register a state; a superseded supervisor writes nothing."""
        if self.is_superseded():
            return
        now = time.time()
        own = {
            "state": state,
            "reason": reason,
            "server_id": self.server_id,
            "incarnation": self.incarnation,
            "machine": socket.gethostname(),
            "supervisor_pid": os.getpid(),
            "supervisor_start": start_time(os.getpid()),
            "updated_at": now,
        }
        if state == "READY":
            own["ready_at"] = now
        write_json(self.file, self.previous() | own | facts)
