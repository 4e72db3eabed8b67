"""All faults, which of them hold today, and which one a seed stands for."""

import random
from collections.abc import Mapping, Sequence

from chaos.faults import answers, damage, disks, signals, users
from chaos.kinds import KINDS
from chaos.trial import Fault

FAULTS: Mapping[str, Fault] = {
    fault.name: fault for room in (signals, answers, disks, damage, users) for fault in room.FAULTS
}
# Faults that break a promise now and then, with the promise; a run draws none of them unless it names them.
BROKEN_TODAY: Mapping[str, str] = {
    "config-edited": "jobs read the configuration anew: what is measured is not what was asked for",
    "kill-aggregate": "the page that a failed run leaves passes for the whole one: lock.yaml is never written",
}
HOLDING = tuple(name for name in FAULTS if name not in BROKEN_TODAY)
# Faults of which no trial has been seen to hold yet. CI draws none of them; `make test-long PART=chaos` draws them all,
# and whoever has seen a round of one hold takes it out of here.
UNPROVEN = (
    "answer-429",
    "answer-500",
    "answer-503",
    "answer-error-200",
    "answer-slow",
    "answer-twice",
    "answer-unfinished",
    "answer-wrong-model",
    "damage-cache",
    "damage-cache-live",
    "damage-harness",
    "damage-result-live",
    "damage-samples",
    "damage-samples-live",
    "damage-secrets-live",
    "damage-state",
    "damage-state-live",
    "damage-summary",
    "group-hup",
    "group-int",
    "group-term",
    "kill-harness",
    "kill-server",
    "kill-server+supervisor",
    "kill-task",
    "moved-between",
    "read-only",
    "status-meanwhile",
    "stop-server-5s",
    "stop-server-forever",
    "two-from-the-start",
)
PROVEN = tuple(name for name in HOLDING if name not in UNPROVEN)


def fault_of(seed: int, names: Sequence[str] = HOLDING) -> Fault:
    """Return the fault of a seed: each in turn, shuffled anew each round, so that few seeds cover all."""
    around, place = divmod(seed, len(names))
    order = list(names)
    random.Random(around).shuffle(order)
    return FAULTS[order[place]]


def kind_of(seed: int, fault: Fault, kinds: Sequence[str] = KINDS) -> str:
    """Return the kind of run of a seed, of those in which the fault has something to hit."""
    possible = [kind for kind in kinds if kind in fault.kinds]
    return random.Random(seed).choice(possible or list(fault.kinds))
