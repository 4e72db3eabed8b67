"""Run many tiny tasks on one deployment; measure memory, open files, and the time that a task costs beside its own.

Prints what each task costs, and what the processes that live as long as the run hold at its begin, middle and end.
"""

import argparse
import json
import os
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos.kinds import PROGRAMS, RUN
from chaos.run_folder import Call, RunFolder
from chaos.trial_processes import end_all, processes_of, wait_until

PAGE = os.sysconf("SC_PAGE_SIZE")
EVERY_S = 2.0


@dataclass(frozen=True)
class Held:
    """What a process holds at a moment: how many tasks are done by then, its memory, open files and threads."""

    after_s: float
    done: int
    memory_mb: float
    files: int
    threads: int

    def __str__(self) -> str:
        said = f"{self.memory_mb:6.1f} MB, {self.files:3} open files, {self.threads:3} threads"
        return f"at {self.after_s:6.0f} s, {self.done:3} done: {said}"


def main() -> int:
    """Perform the run and print what was measured; return Snakemake's status."""
    parser = argparse.ArgumentParser("soak", None, __doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=150)
    parser.add_argument("--work", type=Path, default=Path("results/soak"))
    given = parser.parse_args()
    run = RunFolder(given.work.resolve(), _config(given.tasks), f"soak-{os.getpid()}")
    run.prepare()
    call = run.start()
    try:
        held = _watch(run, call)
    finally:
        end_all(run.mark)
    wall_s = time.monotonic() - call.began
    print(
        f"status {call.process.returncode}, {wall_s:.0f} s for {given.tasks} tasks, {wall_s / given.tasks:.2f} s each"
    )
    _print_times(run)
    for name, several in held.items():
        for one in several[len(several) // 10], several[len(several) // 2], several[-1]:
            print(f"{name:10} {one}")
    return int(call.process.returncode)


def _config(tasks: int) -> dict[str, Any]:
    program = [sys.executable, str(PROGRAMS / "tiny.py")]
    server = [sys.executable, str(PROGRAMS / "server.py"), "--name", "a", "--model", "m"]
    served = {"name": "a", "type": "generic", "served_model_name": "m", "checks_api_key": True, "command": server}
    several = [{"name": f"tiny-{number:03}", "limit": 1, "command": program} for number in range(tasks)]
    return {"run": RUN, "execution": {"type": "local"}, "deployments": [served], "evaluation": {"tasks": several}}


def _watch(run: RunFolder, call: Call) -> dict[str, list[Held]]:
    """Measure the long-lived processes until the call ends."""
    held: dict[str, list[Held]] = {}
    while not wait_until(call.ended, EVERY_S):
        there = processes_of(run.mark)
        supervisor = next((pid for pid, one in there.items() if one.role == "supervisor"), None)
        server = next((pid for pid, one in there.items() if supervisor and one.parent == supervisor), None)
        done = sum(task.result.exists() for task in run.tasks())
        for name, pid in ("snakemake", call.process.pid), ("supervisor", supervisor), ("server", server):
            if pid and (found := _measure(pid, time.monotonic() - call.began, done)):
                held.setdefault(name, []).append(found)
    return held


def _measure(pid: int, after_s: float, done: int) -> Held | None:
    folder = Path(f"/proc/{pid}")
    try:
        memory_mb = int((folder / "statm").read_text().split()[1]) * PAGE / 2**20
        files, threads = (sum(1 for _ in (folder / name).iterdir()) for name in ("fd", "task"))
    except OSError:
        return None
    return Held(after_s, done, memory_mb, files, threads)


def _print_times(run: RunFolder) -> None:
    there = [task for task in run.tasks() if task.result.exists()]
    own_s = [json.loads((task.harness / "own.json").read_text(encoding="utf-8"))["own_s"] for task in there]
    whole_s = [json.loads(task.result.read_text(encoding="utf-8"))["times"]["duration_s"] for task in there]
    said = f"{statistics.median(own_s):.2f} s; with rule evaluate {statistics.median(whole_s):.2f} s"
    print(f"the program itself: median {said}")


if __name__ == "__main__":
    sys.exit(main())
