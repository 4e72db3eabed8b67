"""Measures how long the supervisor takes until it could start its server, in this checkout and in another one.

Every start is a process of its own that reads its command line and ends (`--help`). The starts of the two checkouts
alternate, so that whatever else the machine does meets both alike. Both run in the environment of this script.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Where the program is, and where it was in version 0.1.
PLACES = ("scripts/programs/supervise.py", "scripts/supervise.py")
TIMEOUT_S = 60


def supervisor_of(checkout: Path) -> Path:
    """Return the supervisor's program in a checkout."""
    for place in PLACES:
        if (checkout / place).is_file():
            return checkout / place
    raise SystemExit(f"error: no supervisor in {checkout}; looked for {', '.join(PLACES)}")


def start(program: Path) -> float:
    """Return what one start takes, in seconds."""
    began = time.perf_counter()
    subprocess.run([sys.executable, str(program), "--help"], capture_output=True, timeout=TIMEOUT_S, check=True)
    return time.perf_counter() - began


def measure(programs: list[Path], rounds: int) -> list[list[float]]:
    """Return the durations of all starts of each program, made in alternating order."""
    for program in programs:  # the first start of each fills the caches of Python and of the disk
        start(program)
    durations: list[list[float]] = [[] for _ in programs]
    for number in range(rounds):
        places = range(len(programs))
        for place in places if number % 2 == 0 else reversed(places):
            durations[place].append(start(programs[place]))
    return durations


def main(other: Path, rounds: int) -> int:
    """Measure and print; return 1 when this checkout is slower than the other one."""
    load = os.getloadavg()[0]
    before, now = measure([supervisor_of(other), supervisor_of(ROOT)], rounds)
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, load {load:.1f} at the start, {rounds} rounds, medians"
    )
    for name, seconds in ((str(other), before), ("this checkout", now)):
        print(f"  {name:<24} {statistics.median(seconds):.3f} s   ({min(seconds):.3f} to {max(seconds):.3f})")
    ratio = statistics.median(now) / statistics.median(before)
    print(f"  {'ratio':<24} {ratio:.2f}")
    return int(ratio > 1.0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path, help="another checkout of Snakeval, for example of the last version")
    parser.add_argument("--rounds", type=int, default=21, help="starts of each (default: 21)")
    given = parser.parse_args()
    sys.exit(main(given.other, given.rounds))
