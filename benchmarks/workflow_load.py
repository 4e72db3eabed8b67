"""Measures what loading this workflow adds to `snakemake -n`; benchmarks/README.md has the goal and the numbers.

Both calls run in the same minute and alternate, so that whatever else the machine does meets both alike. The CPU time
stands beside the wall time, because other work on the machine changes it less.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
GOAL_S = 0.5
TIMEOUT_S = 120
EMPTY = 'rule all:\n    output:\n        "missing.txt",\n    shell:\n        "touch {output}"\n'


@dataclass(frozen=True)
class Duration:
    """What one call took."""

    wall_s: float
    cpu_s: float


def dry_run(snakefile: Path, folder: Path) -> Duration:
    """Return what `snakemake -n` takes in a folder of its own.

    Raises:
        RuntimeError: Snakemake has failed, or had nothing to plan.
    """
    folder.mkdir(exist_ok=True)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SNAKE")}
    started, cpu_before_s = time.perf_counter(), _cpu_of_children_s()
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile), "--cores", "1", "-n"],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    duration = Duration(time.perf_counter() - started, _cpu_of_children_s() - cpu_before_s)
    if done.returncode or "Job stats" not in done.stdout + done.stderr:
        raise RuntimeError(f"snakemake -n on {snakefile} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return duration


def _cpu_of_children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(rounds: int) -> tuple[list[Duration], list[Duration]]:
    """Return every run on an empty Snakefile and on this repository's, made in alternating order."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        empty = folder / "Snakefile"
        empty.write_text(EMPTY, encoding="utf-8")
        calls = [(empty, folder / "empty"), (ROOT / "Snakefile", folder / "snakeval")]
        for call in calls:  # the first run of each fills the caches of Python and of the disk
            dry_run(*call)
        durations: dict[Path, list[Duration]] = {snakefile: [] for snakefile, _ in calls}
        for number in range(rounds):
            for snakefile, run_folder in calls if number % 2 == 0 else reversed(calls):
                durations[snakefile].append(dry_run(snakefile, run_folder))
    return durations[empty], durations[ROOT / "Snakefile"]


def report(title: str, empty_s: list[float], snakeval_s: list[float]) -> float:
    """Print the medians, their difference and their ratio; return the difference in seconds."""
    empty, snakeval = statistics.median(empty_s), statistics.median(snakeval_s)
    print(f"\n{title}")
    for name, seconds in (("empty Snakefile", empty_s), ("Snakeval", snakeval_s)):
        print(f"  {name:<16} {statistics.median(seconds):5.2f} s   ({min(seconds):.2f} to {max(seconds):.2f})")
    print(f"  {'difference':<16} {snakeval - empty:5.2f} s\n  {'ratio':<16} {snakeval / empty:5.2f}")
    return snakeval - empty


def main(rounds: int) -> int:
    """Measure and print; return 1 when the goal is missed."""
    load = os.getloadavg()[0]
    empty, snakeval = measure(rounds)
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, load {load:.1f} at the start, {rounds} rounds, medians"
    )
    added_s = report("wall time", [one.wall_s for one in empty], [one.wall_s for one in snakeval])
    report("CPU time", [one.cpu_s for one in empty], [one.cpu_s for one in snakeval])
    print(f"\nthe workflow adds {added_s:.2f} s of wall time; the goal is at most {GOAL_S} s")
    return int(added_s > GOAL_S)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="runs of each (default: 7)")
    sys.exit(main(parser.parse_args().rounds))
