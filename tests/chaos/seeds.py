"""Which seeds a session of the tests takes: others each time, and the same for all of its processes."""

import os
import random

VARIABLE = "SNAKEVAL_CHAOS_SEED"
COUNT = 10


def settle() -> None:
    """Draw the first seed unless the environment names it; the workers of a session inherit it."""
    os.environ.setdefault(VARIABLE, str(random.SystemRandom().randrange(100_000) * COUNT))


def first_seed() -> int:
    """Return the first of the session's seeds."""
    return int(os.environ[VARIABLE])
