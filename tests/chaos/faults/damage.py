"""Files of a run that hold something else all of a sudden; their names are the package's own."""

import random
from collections.abc import Callable, Iterable
from pathlib import Path

from chaos.kinds import deployments_of, results_of
from chaos.run_folder import Call, RunFolder
from chaos.trial import Fault, Trial
from chaos.trial_processes import wait_until
from snakeval.run.gateway_paths import GatewayPaths
from snakeval.run.paths import RunPaths, ServerPaths, TaskPaths

WAYS = ("half", "empty", "bytes", "text", "list", "object", "zeros", "middle", "gone")
AT_ANY_TIME = ("complete", "SIGINT", "SIGKILL", "SIGKILL")
# These are there as long as a server or a task is; who is killed leaves them.
ONLY_LEFT = ("SIGKILL",)
Choose = Callable[[RunFolder], Iterable[Path]]


def _of_servers(choose: Callable[[ServerPaths], Iterable[Path]]) -> Choose:
    return lambda run: [
        path for name in deployments_of(run.config) for path in choose(run.paths.server(name)) if path.is_file()
    ]


def _of_tasks(choose: Callable[[TaskPaths], Iterable[Path]]) -> Choose:
    return lambda run: [
        path for names in results_of(run.config) for path in choose(run.paths.task(*names)) if path.is_file()
    ]


def _of_run(choose: Callable[[RunPaths], Iterable[Path]]) -> Choose:
    return lambda run: [path for path in choose(run.paths) if path.is_file()]


def _both(*several: Choose) -> Choose:
    return lambda run: [path for one in several for path in one(run)]


STATE = _of_servers(lambda server: [server.state])
SECRETS = _of_servers(lambda server: [server.secrets])
LEASE = _of_tasks(lambda task: [task.lease])
ATTEMPT = _both(_of_tasks(lambda task: [task.attempt]), _of_run(lambda run: [run.snakemake]))
SESSION = _both(_of_run(lambda run: [run.session, run.snakemake]), _of_servers(lambda server: [server.failures]))
RESULT = _of_tasks(lambda task: [task.result])
SAMPLES = _of_tasks(lambda task: [task.samples])
CACHE = _of_tasks(lambda task: [GatewayPaths(task.folder).journal])
HARNESS = _of_tasks(lambda task: task.harness.glob("*"))
DEPLOYMENT = _of_servers(lambda server: [server.deployment, server.teardown])
SUMMARY = _of_run(lambda run: [run.summary("json"), run.summary("csv"), run.lock_file, run.resolved_config, run.report])


def _damaged(content: bytes, way: str, rng: random.Random) -> bytes | None:
    """Return what a file holds afterwards, None when it is gone."""
    half = len(content) // 2
    at, length = len(content) // 3, min(40, len(content) // 3)
    made: dict[str, bytes] = {
        "half": content[:half],
        "empty": b"",
        "bytes": rng.randbytes(max(64, len(content))),
        "text": b"{]garbage\n",
        "list": b"[]\n",
        "object": b"{}\n",
        "zeros": content[:half] + bytes(len(content) - half),
        "middle": content[:at] + rng.randbytes(length) + content[at + length :],
    }
    return made.get(way)


def _spare(trial: Trial, path: Path) -> None:
    """Note the results that may change, now that a file is damaged."""
    for deployment, name in results_of(trial.run.config):
        task = trial.run.paths.task(deployment, name)
        # Every task of a deployment has its deployment.json as an input.
        if path.is_relative_to(task.folder) or path == trial.run.paths.server(deployment).deployment:
            trial.spared.update(task.tracked)


def _damage(choose: Choose) -> Callable[[Trial, Call], bool]:
    def act(trial: Trial, call: Call) -> bool:
        found: list[Path] = []

        def look() -> bool:
            found[:] = choose(trial.run)
            return bool(found) or call.ended()

        wait_until(look, trial.timeout_s)
        if not found:
            return False
        path, way = trial.rng.choice(sorted(found)), trial.rng.choice(WAYS)
        where = str(path.relative_to(trial.run.paths.root))
        trial.evidence |= {"file": where, "way": way, "running": not call.ended()}
        _spare(trial, path)
        try:
            content = _damaged(path.read_bytes(), way, trial.rng)
            path.unlink() if content is None else path.write_bytes(content)
        except FileNotFoundError:
            return False
        return True

    return act


LM_EVAL = ("light", "full", "llamacpp")
FAULTS = (
    Fault("damage-state", _damage(STATE), between=AT_ANY_TIME),
    Fault("damage-secrets", _damage(SECRETS), between=ONLY_LEFT),
    Fault("damage-lease", _damage(LEASE), between=ONLY_LEFT),
    Fault("damage-attempt", _damage(ATTEMPT), between=AT_ANY_TIME),
    Fault("damage-session", _damage(SESSION), between=AT_ANY_TIME),
    Fault("damage-result", _damage(RESULT), between=AT_ANY_TIME),
    Fault("damage-samples", _damage(SAMPLES), between=AT_ANY_TIME),
    Fault("damage-cache", _damage(CACHE), between=AT_ANY_TIME, kinds=LM_EVAL),
    Fault("damage-harness", _damage(HARNESS), between=AT_ANY_TIME),
    Fault("damage-deployment", _damage(DEPLOYMENT), between=AT_ANY_TIME),
    Fault("damage-summary", _damage(SUMMARY), between=("complete",)),
    Fault("damage-state-live", _damage(STATE)),
    Fault("damage-secrets-live", _damage(SECRETS)),
    Fault("damage-lease-live", _damage(LEASE)),
    Fault("damage-attempt-live", _damage(ATTEMPT)),
    Fault("damage-session-live", _damage(SESSION)),
    Fault("damage-result-live", _damage(RESULT)),
    Fault("damage-samples-live", _damage(SAMPLES)),
    Fault("damage-cache-live", _damage(CACHE), kinds=LM_EVAL),
    Fault("damage-harness-live", _damage(HARNESS)),
)
