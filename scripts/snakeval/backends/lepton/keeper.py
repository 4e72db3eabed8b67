"""Keeps the records of endpoints up to date, in the main process: only this process has a token for the whole run.

It makes one list call for all endpoints every few seconds, whatever the number of tasks. It wakes an endpoint that was
scaled to zero while tasks need it. Jobs on Lepton have no token; it starts the servers that they have asked for.
"""

import sys
from functools import partial

from snakeval.backends.lepton.backend import LeptonBackend
from snakeval.backends.lepton.marks import mark_kept
from snakeval.config.model import Config
from snakeval.deployments.types import deployment_type
from snakeval.errors import SnakevalError
from snakeval.run.claims import is_held
from snakeval.run.paths import RunPaths
from snakeval.system.periodic import Periodic

KEEP_EVERY_S = 3.0


class Keeper:
    """A thread of the main process, from `begin` to `end`."""

    def __init__(self, config: Config) -> None:
        self._paths = RunPaths(config.folder)
        self._deployments = [one.name for one in config.served if deployment_type(one.type).has_server]
        self._config = config
        self._turns: Periodic | None = None

    def begin(self) -> None:
        """Start keeping."""
        self._turns = Periodic(partial(self._turn, LeptonBackend(self._config)), KEEP_EVERY_S)
        self._turns.begin()

    def end(self) -> None:
        """Stop keeping; safe to call twice, and without `begin`."""
        if self._turns is not None:
            self._turns.end()
        self._paths.keeper.unlink(missing_ok=True)

    def _turn(self, backend: LeptonBackend) -> None:
        try:
            self.keep(backend)
        except Exception as error:
            # Whatever it is, it must not end the only one who keeps the records.
            print(f"[lepton] the state of the endpoints could not be kept: {error}", file=sys.stderr, flush=True)

    def keep(self, backend: LeptonBackend) -> None:
        """Do all that is to be done once."""
        held = [name for name in self._deployments if is_held(self._paths, name)]
        backend.refresh(held, wake=True)
        backend.refresh([name for name in self._deployments if name not in held], wake=False)
        for deployment in backend.wanted():
            try:
                # Not stopped first: the job that waits for it would take that for its end. An endpoint that is still
                # there under the name is replaced.
                backend.start(deployment)
            except SnakevalError as error:
                print(f"[lepton] {error}", file=sys.stderr, flush=True)
        mark_kept(self._paths)
