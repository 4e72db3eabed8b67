"""Measures what loading this workflow adds to `snakemake -n`; benchmarks/README.md has the goal and the numbers.

Both calls run in the same minute and alternate, so that whatever else the machine does meets both alike.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
GOAL_S = 0.5
TIMEOUT_S = 120
EMPTY = 'rule all:\n    output:\n        "missing.txt",\n    shell:\n        "touch {output}"\n'


def dry_run_s(snakefile: Path, folder: Path) -> float:
    """Return the wall time in seconds of `snakemake -n` in a folder of its own.

    Raises:
        RuntimeError: Snakemake has failed, or had nothing to plan.
    """
    folder.mkdir(exist_ok=True)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SNAKE")}
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile), "--cores", "1", "-n"],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    duration_s = time.perf_counter() - started
    if done.returncode or "Job stats" not in done.stdout + done.stderr:
        raise RuntimeError(f"snakemake -n on {snakefile} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return duration_s


def measure(rounds: int) -> tuple[list[float], list[float]]:
    """Return the seconds of every run on an empty Snakefile and on this repository's, in alternating order."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        empty = folder / "Snakefile"
        empty.write_text(EMPTY, encoding="utf-8")
        calls = [(empty, folder / "empty"), (ROOT / "Snakefile", folder / "snakeval")]
        for call in calls:  # the first run of each fills the caches of Python and of the disk
            dry_run_s(*call)
        durations_s: dict[Path, list[float]] = {snakefile: [] for snakefile, _ in calls}
        for number in range(rounds):
            for snakefile, run_folder in calls if number % 2 == 0 else reversed(calls):
                durations_s[snakefile].append(dry_run_s(snakefile, run_folder))
    return durations_s[empty], durations_s[ROOT / "Snakefile"]


def main(rounds: int) -> int:
    """Print the medians, their difference and their ratio; return 1 when the goal is missed."""
    empty, snakeval = measure(rounds)
    base_s, own_s = statistics.median(empty), statistics.median(snakeval)
    print(f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {rounds} rounds")
    for name, durations_s in (("empty Snakefile", empty), ("Snakeval", snakeval)):
        low, middle, high = min(durations_s), statistics.median(durations_s), max(durations_s)
        print(f"{name:<16} {middle:6.2f} s   ({low:.2f} to {high:.2f})")
    print(f"{'difference':<16} {own_s - base_s:6.2f} s   (goal: at most {GOAL_S} s)")
    print(f"{'ratio':<16} {own_s / base_s:6.2f}")
    return int(own_s - base_s > GOAL_S)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="runs of each (default: 7)")
    sys.exit(main(parser.parse_args().rounds))
