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
    "damage-samples": "samples that cannot be read are not made again: nothing compares them with their result",
    "kill-aggregate": "the page that a failed run leaves passes for the whole one: lock.yaml is never written",
}
HOLDING = tuple(name for name in FAULTS if name not in BROKEN_TODAY)


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
