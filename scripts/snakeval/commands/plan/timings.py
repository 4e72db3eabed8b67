"""What earlier runs took: every result.json and every started server under the output folder."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from snakeval.results.result import Result
from snakeval.run.deployment import ServedDeployment
from snakeval.run.paths import all_finished_tasks, all_started_servers
from snakeval.run.server import ServerRecord


@dataclass(frozen=True)
class Timing:
    """One task that was evaluated.

    Attributes:
        place: Folder of its deployment; the tasks of one folder shared a server.
        deployment, task: Fingerprints.
        kind: What was run, whatever its settings: harness, its name of the task, protocol.
        limit, repeats, samples: As in result.json; `samples` are those asked, repeats not counted.
        requests: Of all attempts; None where the harness does not count.
        prompt_tokens, completion_tokens: None where the endpoint does not count.
        begin, end: Of the attempt that succeeded, seconds since the epoch.
        duration_s: What all requests would have taken at the speed of that attempt.
    """

    place: Path
    deployment: str
    task: str
    kind: tuple[str, str, str]
    limit: int | None
    repeats: int
    samples: int
    requests: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    begin: float
    end: float
    duration_s: float

    @classmethod
    def of_result(cls, result: Result, place: Path) -> "Timing | None":
        """Return the timing of a result; None where a resumed attempt sent too little to tell."""
        times = result.times
        sent, resumed = result.requests.sent, result.requests.resumed or 0
        if sent is not None and resumed and not sent:
            return None
        share = 1 + resumed / sent if sent else 1.0
        return cls(
            place=place,
            deployment=result.fingerprint.deployment,
            task=result.fingerprint.task,
            kind=(result.harness, result.harness_task, result.protocol),
            limit=result.limit,
            repeats=result.repeats,
            samples=result.samples.asked,
            requests=None if sent is None else sent + resumed,
            prompt_tokens=result.tokens.prompt,
            completion_tokens=result.tokens.completion,
            begin=times.began.timestamp(),
            end=times.ended.timestamp(),
            duration_s=times.duration_s * share,
        )


def read_timings(output_dir: Path) -> list[Timing]:
    """Return the timings of all runs; results that this version does not understand are left out."""
    found = []
    for task in all_finished_tasks(output_dir):
        result = Result.read(task.result)
        timing = Timing.of_result(result, task.folder.parent) if result is not None else None
        if timing is not None:
            found.append(timing)
    return found


def read_load_times(output_dir: Path) -> dict[str, list[float]]:
    """Return the seconds from start to ready of all servers that became ready, by fingerprint of their deployment."""
    found: dict[str, list[float]] = {}
    for fingerprint, seconds in _load_times(output_dir):
        found.setdefault(fingerprint, []).append(seconds)
    return found


def concurrency(timings: Sequence[Timing]) -> list[float]:
    """Return, for each deployment folder, how many of its tasks ran at a time on average (1 or more)."""
    by_place: dict[Path, list[Timing]] = {}
    for timing in timings:
        by_place.setdefault(timing.place, []).append(timing)
    return [_overlap(together) for together in by_place.values()]


def _overlap(together: Sequence[Timing]) -> float:
    """Return the sum of the durations over the time in which any of them ran."""
    busy_s, reached = 0.0, float("-inf")
    for timing in sorted(together, key=lambda one: one.begin):
        busy_s += max(0.0, timing.end - max(timing.begin, reached))
        reached = max(reached, timing.end)
    total_s = sum(timing.end - timing.begin for timing in together)
    return max(1.0, total_s / busy_s) if busy_s > 0 else 1.0


def _load_times(output_dir: Path) -> Iterator[tuple[str, float]]:
    for files in all_started_servers(output_dir):
        record, deployment = ServerRecord.read(files.state), ServedDeployment.read(files.deployment)
        if record is None or deployment is None or record.ready_at is None or record.started_at is None:
            continue
        # A server that crashed and came back was ready for the first time before that.
        if record.restarts == 0:
            yield deployment.fingerprint, record.ready_at - record.started_at
