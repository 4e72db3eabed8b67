"""Runs the instances of one server and the router in front of them, under the server's supervisor.

It starts every instance. It begins to route when the first instances are ready. It takes away instances that die, and
adds instances that come (back). It ends when no instance is ready any more. Then the supervisor starts it again, as it
does with any server.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from snakeval.deployments.supervisor.instance import Instance, InstanceSettings, end_leftovers
from snakeval.deployments.supervisor.router import Router, RouterSettings
from snakeval.errors import SnakevalError
from snakeval.run.paths import ServerPaths

POLL_S = 0.5
# The router shares requests by load only when it begins with two: so long the first one waits for another.
JOIN_PATIENCE_S = 60.0


@dataclass
class Front:
    """The instances and the router; see the module's docstring.

    Attributes:
        instances: All of them, not started.
        router: Not started.
        max_restarts: Times that a router that died is started again.
    """

    instances: list[Instance]
    router: Router
    max_restarts: int
    router_restarts: int = 0
    stopping: bool = False
    first_ready: float | None = None
    numbers: dict[str, int] = field(default_factory=dict)

    def run(self) -> int:
        """Serve until a signal asks to end (status 0) or nothing is left that could serve (status 1)."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        try:
            for instance in self.instances:
                instance.start()
            folder = self.instances[0].settings.files.instances
            _say(f"{len(self.instances)} instances are starting; their output is in {folder}")
            while not self.stopping:
                failure = self._turn()
                if failure is not None:
                    _say(failure)
                    return 1
                time.sleep(POLL_S)
            return 0
        finally:
            self._end()

    def _turn(self) -> str | None:
        """Look at everything once and put right what can be; return why there is no use in going on."""
        urls = {url: instance.number for instance in self.instances if (url := instance.look()) is not None}
        for instance in self.instances:
            for line in instance.news():
                _say(line)
        if not urls:
            over = self.router.is_started or all(instance.gone is not None for instance in self.instances)
            return self._obituary() if over else None
        if not self.router.is_started:
            if self._may_begin(len(urls)):
                _say(f"routing begins: {len(urls)} of {len(self.instances)} instances are ready")
                self.router.start(urls)
            return None
        failure = self.router.failure()
        if failure is not None:
            return self._restart_router(failure, urls)
        self._route(urls)
        return None

    def _may_begin(self, ready: int) -> bool:
        self.first_ready = self.first_ready or time.monotonic()
        hoped_for = sum(instance.gone is None for instance in self.instances)
        # Without hope for another one there is nothing to wait for.
        return ready >= min(2, hoped_for) or time.monotonic() - self.first_ready > JOIN_PATIENCE_S

    def _restart_router(self, failure: str, urls: Collection[str]) -> str | None:
        self.router.end()
        if self.router_restarts >= self.max_restarts:
            return f"error: after {self.router_restarts} restarts, {failure}"
        self.router_restarts += 1
        _say(f"restart {self.router_restarts} of {self.max_restarts}: {failure}")
        self.router.start(urls)
        return None

    def _route(self, urls: Mapping[str, int]) -> None:
        """Have the router know exactly the instances that are ready."""
        known = self.router.instances()
        if known is None:
            return
        ready = f"{len(urls)} of {len(self.instances)} instances are ready"
        # First what is dead: requests fail or wait as long as it is known.
        for url in sorted(known - urls.keys()):
            if self.router.remove(url):
                _say(f"instance {self.numbers.pop(url, '?')} ({url}) is taken away: {ready}")
        self.numbers |= urls
        for url in sorted(urls.keys() - known):
            if self.router.add(url):
                _say(f"instance {urls[url]} ({url}) is added: {ready}")

    def _obituary(self) -> str:
        return "\n".join(["error: no instance is ready any more", *(one.epitaph() for one in self.instances)])

    def _end(self) -> None:
        self.router.end()
        for instance in self.instances:
            instance.end()

    def _on_signal(self, _number: int, _frame: object) -> None:
        self.stopping = True


def _say(message: str) -> None:
    print(f"[instances {time.strftime('%Y-%m-%d %H:%M:%S')}] {message}", flush=True)


def main() -> int:
    """Parse the command line that `launch.sh` gives, and serve on $SNAKEVAL_HOST:$SNAKEVAL_PORT."""
    parser = argparse.ArgumentParser(description="Run several instances of a server behind a router (see launch.sh).")
    parser.add_argument("--folder", type=Path, required=True, help="folder of the server's files")
    parser.add_argument("--script", type=Path, required=True, help="launch.sh, run once more as each instance")
    parser.add_argument("--supervisor", type=Path, required=True, help="supervise.py")
    parser.add_argument("--router-python", type=Path, required=True, help="interpreter of the router environment")
    parser.add_argument("--router", type=Path, required=True, help="servers/router.py")
    parser.add_argument("--instances", type=int, required=True, help="how many")
    parser.add_argument("--nodes", type=int, required=True, help="nodes of one instance")
    parser.add_argument("--health-path", required=True, help="path that answers 200 when the model is loaded")
    parser.add_argument("--max-restarts", type=int, required=True, help="of a server, of a step, of the router")
    parser.add_argument("--readiness-timeout-s", type=float, required=True, help="from a start to being ready")
    parser.add_argument("--container-runtime", help="what starts the servers' containers")
    given = parser.parse_args()
    files = ServerPaths(given.folder)
    settings = InstanceSettings(
        files=files,
        script=given.script,
        supervisor=given.supervisor,
        nodes=given.nodes,
        health_path=given.health_path,
        max_restarts=given.max_restarts,
        readiness_timeout_s=given.readiness_timeout_s,
        container_runtime=given.container_runtime,
    )
    router = RouterSettings(
        python=given.router_python,
        program=given.router,
        host=os.environ["SNAKEVAL_HOST"],
        port=int(os.environ["SNAKEVAL_PORT"]),
        health_path=given.health_path,
        log=files.router_log,
        key=os.environ["SNAKEVAL_API_KEY"],
    )
    try:
        left = end_leftovers(os.environ["SLURM_JOB_ID"])
    except SnakevalError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
    if left:
        _say(f"Slurm still knows the steps {', '.join(left)} of an earlier start; their supervisors end by themselves")
    return Front([Instance(n, settings) for n in range(given.instances)], Router(router), given.max_restarts).run()
