"""Where a server of ours answers: followed through its restarts, by a file that rule evaluate writes."""

import asyncio
from pathlib import Path

from snakeval.gateway.adapters import Adapters
from snakeval.gateway.patience import Gate
from snakeval.gateway.upstream import Upstream
from snakeval.run.gateway import Target

LOOK_EVERY_S = 0.5
# So long after a lost connection it is known whether the server has gone too.
SETTLE_S = 15.0


class Aim:
    """Keeps the upstream and the gate in step with the target file.

    Args:
        path: `target.json`; None for an endpoint that was there before.
        adapters: They say which header holds the key.
        upstream: Whose target it is.
        gate: Held while there is none.
    """

    def __init__(self, path: Path | None, adapters: Adapters, upstream: Upstream, gate: Gate) -> None:
        self._path = path
        self._adapters = adapters
        self._upstream = upstream
        self._gate = gate
        self._known: Target | None = None
        self.look()

    @property
    def generation(self) -> str | None:
        """Which start of the server answers; None where it is not ours."""
        return self._known.generation if self._known else None

    @property
    def waiting_for(self) -> str | None:
        """Why there is no server right now."""
        return self._known.waiting_for if self._known else None

    def look(self) -> None:
        """Read the file; what cannot be read changes nothing."""
        target = Target.read(self._path) if self._path is not None else None
        if target is None or target == self._known:
            return
        self._known = target
        headers = self._adapters.headers | self._adapters.key_headers(target.key)
        self._upstream.aim(target.base_url, headers)
        self._gate.hold(target.waiting_for is not None)

    async def follow(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.look()

    async def has_moved(self, generation: str | None) -> bool:
        """Return whether the server that a request went to is gone, and comes back or is back.

        Args:
            generation: The one that the request went to.
        """
        if self._known is None:
            return False
        for _ in range(round(SETTLE_S / LOOK_EVERY_S)):
            if self.waiting_for is not None or self.generation != generation:
                return True
            await asyncio.sleep(LOOK_EVERY_S)
        return False
