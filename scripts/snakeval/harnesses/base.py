"""The contract of a harness: a program that knows tasks."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from snakeval.config.container_syntax import Mount
from snakeval.config.model import Config, Task
from snakeval.endpoint import Endpoint
from snakeval.errors import SnakevalError
from snakeval.harnesses.runners.snakeval_runners.shared.outcome import ReportedMetric
from snakeval.run.attempt import Progress


@dataclass(frozen=True)
class HarnessCommand:
    """How to start a harness.

    Attributes:
        argv: The command line; holds no secret.
        env: Variables in addition to those inherited; may hold secrets.
        cwd: Working directory, None for that of the caller.
        mounts: What it reads beside its work folder, where it runs in a container.
        inherited: Names of the caller's variables that it reads, which a container has to be given.
    """

    argv: list[str]
    env: dict[str, str] = field(repr=False)
    cwd: Path | None
    mounts: tuple[Mount, ...] = ()
    inherited: tuple[str, ...] = ()


@dataclass(frozen=True)
class Metric(ReportedMetric):
    """One number with its uncertainty.

    Attributes:
        ci_low, ci_high: Ends of the 95 % interval, None without one.
        ci_method: "wilson", "bootstrap" or "normal", None without an interval.
    """

    ci_low: float | None = None
    ci_high: float | None = None
    ci_method: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What a harness computed; exists only when every sample has an answer.

    Attributes:
        metrics: At least one.
        asked, answered, failed: Samples, repeats not counted.
        prompt_tokens, completion_tokens: Sums over all requests, None when the endpoint does not count.
        requests_sent, requests_cached, requests_retried: None when the harness does not count.
        versions: Of the harness and of its tasks.
    """

    metrics: tuple[Metric, ...]
    asked: int
    answered: int
    failed: int
    prompt_tokens: int | None
    completion_tokens: int | None
    requests_sent: int | None
    requests_cached: int | None
    requests_retried: int | None
    versions: Mapping[str, object]


class Harness(Protocol):
    """One program that knows tasks.

    Attributes:
        varies_seed: Whether it repeats a request with one seed, so that the gateway has to give each another.
    """

    varies_seed: ClassVar[bool] = False

    def command(self, task: Task, endpoint: Endpoint, work_dir: Path, python: Path, config: Config) -> HarnessCommand:
        """Prepare `work_dir` and return how to run the task. A second call is safe: what is cached there stays.

        Args:
            task: The task.
            endpoint: Where its requests go.
            work_dir: Folder of the harness's own files; made when it is missing.
            python: Interpreter of the harness's environment. Not used for a task in a container: its command is one for
                the inside of its image.
            config: The run.
        """

    def progress(self, work_dir: Path) -> Progress | None:
        """Return how far it is, None when that is not known yet."""

    def failure(self, work_dir: Path, returncode: int) -> SnakevalError:
        """Return what to tell the user about a run that ended with this status (negative: minus the signal)."""

    def outcome(self, work_dir: Path) -> Outcome:
        """Return what came out; raises HarnessError when there is no complete, valid outcome."""

    def samples(self, work_dir: Path) -> Iterator[dict[str, Any]]:
        """Yield one object per sample and repeat."""
