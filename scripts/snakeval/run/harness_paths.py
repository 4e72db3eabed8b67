"""Where a harness keeps what in its own folder, `TaskPaths.harness`; no other module joins these names."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class HarnessPaths:
    """What a harness is given and gives back, in its own folder."""

    folder: Path

    @property
    def request(self) -> Path:
        """What a runner is asked for."""
        return self.folder / "request.json"

    @property
    def lives(self) -> Path:
        """Which lives of the harness the evaluation has had, a word each."""
        return self.folder / "lives"

    @property
    def outcome(self) -> Path:
        """Scores and counts, as a runner gives them back."""
        return self.folder / "outcome.json"

    @property
    def result(self) -> Path:
        """Scores and counts, as a user's command gives them back."""
        return self.folder / "result.json"

    @property
    def samples(self) -> Path:
        """One JSON line per sample and repeat."""
        return self.folder / "samples.jsonl"

    @property
    def progress(self) -> Path:
        """How far it is."""
        return self.folder / "progress.json"

    @property
    def error(self) -> Path:
        """Why a runner ended without an outcome."""
        return self.folder / "error.json"

    @property
    def evaluation(self) -> Path:
        """Which evaluation the folder belongs to, as long as that one is not complete."""
        return self.folder / "fingerprint"

    @property
    def data_cache(self) -> Path:
        """The cache of a task that reads its data from folders."""
        return self.folder / "data-cache"
