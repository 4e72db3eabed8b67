"""Where a task's gateway keeps what, in the task's folder; no other module joins these names."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class GatewayPaths:
    """What a gateway is given and gives back.

    Attributes:
        task: The task's folder.
    """

    task: Path

    @property
    def journal(self) -> Path:
        """Every answer of the task; it stays when the task has ended."""
        return self.task / "journal.jsonl"

    @property
    def folder(self) -> Path:
        """What is there while the gateway runs."""
        return self.task / "gateway"

    @property
    def settings(self) -> Path:
        """What the gateway is told, secrets aside."""
        return self.folder / "settings.json"

    @property
    def state(self) -> Path:
        """Where the gateway listens and what it has counted."""
        return self.folder / "gateway.json"

    @property
    def target(self) -> Path:
        """Where a server of ours answers, its key included; mode 0600."""
        return self.folder / "target.json"

    @property
    def limit(self) -> Path:
        """How many requests may be under way."""
        return self.folder / "limit"
