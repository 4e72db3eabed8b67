"""Where the time of a run went: load, ready, evaluate and idle of each server, and the speed of each task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from snakeval.config.model import Deployment
from snakeval.deployments.types import deployment_type
from snakeval.results.result import Result
from snakeval.run.deployment import ServerTeardown
from snakeval.run.paths import RunPaths
from snakeval.run.server import ServerRecord
from snakeval.system.times import of_iso_time

Span = tuple[float, float]


@dataclass(frozen=True)
class Life:
    """When a server was what, in seconds since the epoch; None where it is not known.

    Attributes:
        started_at, ready_at, ended_at: In its latest start.
        restarts: After crashes.
    """

    started_at: float | None = None
    ready_at: float | None = None
    ended_at: float | None = None
    restarts: int | None = None


@dataclass(frozen=True)
class Phases:
    """The life of a deployment's server in its latest start, in seconds; None where it is not known.

    Attributes:
        deployment: Its name.
        load_s: From its start until it was ready.
        ready_s: From then until the first task began.
        evaluate_s: While at least one task ran.
        idle_s: The rest, until its end.
        task_s: Sum of the durations of all tasks, also of earlier starts; more than `evaluate_s` where they overlapped.
        restarts: After crashes.
    """

    deployment: str
    load_s: float | None
    ready_s: float | None
    evaluate_s: float | None
    idle_s: float | None
    task_s: float
    restarts: int | None

    def parts(self) -> list[tuple[str, float]]:
        """Return the phases that are known, in their order."""
        found = {"load": self.load_s, "ready": self.ready_s, "evaluate": self.evaluate_s, "idle": self.idle_s}
        return [(name, seconds) for name, seconds in found.items() if seconds is not None]


@dataclass(frozen=True)
class Speed:
    """How fast a task went, in the attempt that succeeded.

    Attributes:
        deployment, task: Names.
        started_at: ISO 8601, UTC.
        duration_s, attempt: As in result.json.
        samples: Samples that were asked, repeats not counted.
        prompt_tokens, completion_tokens: Sums over all requests; None where the endpoint did not count.
        requests, resumed, retried: Requests that this attempt sent, that earlier attempts had answered, and that were
            sent again; None where the harness does not tell.
    """

    deployment: str
    task: str
    started_at: str
    duration_s: float
    attempt: int
    samples: int
    prompt_tokens: int | None
    completion_tokens: int | None
    requests: int | None
    resumed: int | None
    retried: int | None

    @property
    def fresh(self) -> float:
        """The share of the answers that this attempt got itself; only they took time."""
        sent, resumed = self.requests, self.resumed or 0
        return 1.0 if sent is None or not resumed else sent / (sent + resumed)

    def per_second(self, amount: int | None) -> float | None:
        """Return an amount of the whole task as a rate of this attempt; None when it is not known."""
        return None if amount is None or self.duration_s <= 0 else amount * self.fresh / self.duration_s


def speed_of(result: Result) -> Speed:
    """Return the speed of a task by its result."""
    return Speed(
        deployment=result.deployment,
        task=result.task,
        started_at=result.times.started_at,
        duration_s=result.times.duration_s,
        attempt=result.times.attempt,
        samples=result.samples.asked,
        prompt_tokens=result.tokens.prompt,
        completion_tokens=result.tokens.completion,
        requests=result.requests.sent,
        resumed=result.requests.resumed,
        retried=result.requests.retried,
    )


def phases_of(paths: RunPaths, deployment: Deployment, results: Mapping[tuple[str, str], Result]) -> Phases:
    """Return the phases of a deployment by the record of its server and the results of its tasks."""
    spans = [_span(result) for (name, _), result in results.items() if name == deployment.name]
    if not deployment_type(deployment.type).has_server:
        return make_phases(deployment.name, Life(), spans)
    files = paths.server(deployment.name)
    record = ServerRecord.read(files.state)
    if record is not None:
        life = Life(record.started_at, record.ready_at, record.updated_at, record.restarts)
    else:
        life = life_told_by(ServerTeardown.read(files.teardown))
    return make_phases(deployment.name, life, spans)


def life_told_by(teardown: ServerTeardown | None) -> Life:
    """Return the life of a server by the record of rule teardown."""
    if teardown is None:
        return Life()
    started_at, ready_at, ended_at = map(_seconds, (teardown.started_at, teardown.ready_at, teardown.updated_at))
    return Life(started_at, ready_at, ended_at, teardown.restarts)


def make_phases(deployment: str, server: Life, spans: Sequence[Span]) -> Phases:
    """Return the phases of a server.

    Args:
        deployment: Its name.
        server: Its life.
        spans: Begin and end of its tasks, seconds since the epoch.
    """
    start, ready, end = server.started_at, server.ready_at, server.ended_at
    task_s = sum(stop - begin for begin, stop in spans)
    load_s = None if start is None or ready is None else max(0.0, ready - start)
    if ready is None or end is None:
        return Phases(deployment, load_s, None, covered(spans) if spans else None, None, task_s, server.restarts)
    inside = [(max(begin, ready), min(stop, end)) for begin, stop in spans if stop > ready and begin < end]
    evaluate_s = covered(inside)
    ready_s = max(0.0, min((begin for begin, _ in inside), default=end) - ready)
    idle_s = max(0.0, end - ready - ready_s - evaluate_s)
    return Phases(deployment, load_s, ready_s, evaluate_s, idle_s, task_s, server.restarts)


def covered(spans: Sequence[Span]) -> float:
    """Return for how many seconds at least one span lasted."""
    total, reached = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total


def _span(result: Result) -> Span:
    return result.times.began.timestamp(), result.times.ended.timestamp()


def _seconds(moment: str | None) -> float | None:
    try:
        return of_iso_time(moment) if moment else None
    except ValueError:
        return None
