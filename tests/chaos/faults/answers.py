"""Answers of a server that misbehaves for a while (programs/server.py)."""

import json
import time
from collections.abc import Callable

from chaos.kinds import STAND_IN, deployments_of
from chaos.run_folder import Call
from chaos.trial import Fault, Trial
from chaos.trial_processes import wait_until

MODES = (
    "429",
    "500",
    "503",
    "reset",
    "cut",
    "truncated",
    "empty",
    "html",
    "null",
    "no-choices",
    "error-200",
    "unfinished",
    "wrong-model",
    "duplicate",
    "twice",
    "slow",
)


def _misbehave(mode: str) -> Callable[[Trial, Call], bool]:
    def act(trial: Trial, call: Call) -> bool:
        seconds, share = trial.rng.choice([1.0, 3.0, 10.0, 60.0]), trial.rng.choice([0.1, 0.5, 1.0])
        trial.evidence |= {"seconds": seconds, "share": share}
        for name in deployments_of(trial.run.config):
            new = trial.run.folder / f".control-{name}"
            told = {"mode": mode, "until": time.time() + seconds, "share": share}
            new.write_text(json.dumps(told), encoding="utf-8")
            new.replace(trial.run.folder / f"control-{name}.json")
        met = f'"mode": "{mode}"'.encode()
        log = trial.run.requests_log

        def has_met() -> bool:
            return log.exists() and met in log.read_bytes()

        wait_until(lambda: call.ended() or has_met(), seconds + 1)
        return has_met()

    return act


FAULTS = tuple(Fault(f"answer-{mode}", _misbehave(mode), kinds=STAND_IN) for mode in MODES)
