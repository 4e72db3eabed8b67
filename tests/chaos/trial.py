"""One trial: a run is begun, something breaks at a random moment, and the command is repeated until all is there."""

import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos.facts import Baseline, excerpt
from chaos.kinds import KINDS
from chaos.run_folder import TRACEBACK, Call, RunFolder
from chaos.trial_processes import end_all, send, victims_of, wait_until

CALL_TIMEOUT_S = 300
# A run may be over before its moment; then it begins again, with a moment half as late.
BEGINNINGS = 3
SMALL_DISK = "size=6m"


@dataclass(frozen=True)
class Fault:
    """Something that breaks.

    Attributes:
        act: Does it at its moment, with the call that goes on; returns whether it has hit something.
        between: How the first call ends, one by chance, before it is done; while the call goes on when empty.
        mount: Whether the results lie on a small file system of their own, which takes root.
        kinds: The kinds of run in which there is something to hit.
    """

    name: str
    act: Callable[["Trial", Call], bool]
    between: tuple[str, ...] = ()
    mount: bool = False
    kinds: tuple[str, ...] = KINDS


@dataclass(frozen=True)
class Violation:
    """A promise that was broken."""

    kind: str
    what: str
    evidence: Any = None


@dataclass
class Trial:
    """A seed's run.

    Attributes:
        spared: Results that the fault itself has damaged, and that may change therefore.
        evidence: What happened, for who reads the trial's record.
    """

    run: RunFolder
    seed: int
    fault: Fault
    baseline: Baseline
    timeout_s: float = CALL_TIMEOUT_S
    rng: random.Random = field(init=False)
    spared: set[Path] = field(default_factory=set)
    evidence: dict[str, Any] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed * 7919 + 13)

    def violate(self, kind: str, what: str, evidence: Any = None) -> None:
        """Note a broken promise."""
        self.violations.append(Violation(kind, what, evidence))

    def break_it(self) -> bool:
        """Begin the run and break it; return whether the fault has hit something, and note it when it has not."""
        for beginning in range(BEGINNINGS):
            self._prepare()
            self.evidence["beginning"] = beginning + 1
            if self._broken(0.5**beginning):
                return True
            end_all(self.run.mark)
        self.violate("missed", f"in {BEGINNINGS} runs the fault {self.fault.name} found nothing to hit")
        return False

    def finish(self, call: Call) -> int | None:
        """Wait for a call's end; one that hangs is a broken promise, and is ended."""
        try:
            return call.process.wait(max(1.0, self.timeout_s - (time.monotonic() - call.began)))
        except subprocess.TimeoutExpired:
            self.violate("hang", f"{call.log.name} did not end within {self.timeout_s} s", call.text()[-1500:])
            end_all(self.run.mark)
            return None

    def await_victims(self, call: Call, role: str) -> list[int]:
        """Wait until there are processes of a role; return them, none when the call ends before."""
        found: list[int] = []

        def look() -> bool:
            found[:] = victims_of(self.run.mark, role)
            return bool(found) or call.ended()

        wait_until(look, self.timeout_s)
        return found

    def clear(self) -> None:
        """End what the run has left, and give its file system back."""
        end_all(self.run.mark)
        if self.fault.mount and self.run.output.is_mount():
            subprocess.run(["umount", "--lazy", str(self.run.output)], check=False)

    def _prepare(self) -> None:
        self.clear()
        self.spared.clear()
        self.run.prepare()
        if self.fault.mount:
            command = ["mount", "-t", "tmpfs", "-o", SMALL_DISK, "chaos", str(self.run.output)]
            subprocess.run(command, check=True)

    def _broken(self, reach: float) -> bool:
        call = self.run.start()
        if self.fault.between:
            self._end_somehow(call, reach)
            hit = self.fault.act(self, call)
        else:
            hit = self._await_moment(call, reach) and self.fault.act(self, call)
            for one in list(self.run.calls):
                self.finish(one)
        self.evidence["first status"] = call.process.returncode
        if call.process.returncode == -signal.SIGKILL:
            self.evidence["pause"] = pause = self.rng.choice([0.0, 0.5, 3.0, 12.0])
            time.sleep(pause)
        if TRACEBACK in call.text():
            self.evidence["traceback in faulted call"] = excerpt(call.text(), "Traceback", 12)
        return hit

    def _end_somehow(self, call: Call, reach: float) -> None:
        how = self.rng.choice(self.fault.between)
        if how != "complete" and self._await_moment(call, reach, early=0.1):
            send(call.process.pid, signal.Signals[how])
        else:
            how = "complete"
        self.finish(call)
        self.evidence["first call"] = how

    def _await_moment(self, call: Call, reach: float, early: float = 0.25) -> bool:
        """Wait until a random moment of the run; return whether it still goes on.

        Args:
            call: The run.
            reach: Up to which part of the run the moment may be.
            early: Share of the moments that are a time, before the first answer too; others are a number of answers.
        """
        if self.rng.random() < early:
            wait = self.rng.uniform(0.2, self.baseline.took_s * reach)
            self.evidence["moment"] = f"{wait:.1f} s"
            return not wait_until(call.ended, wait)
        goal = self.rng.randint(1, max(1, int(self.baseline.total * reach)))
        pause = self.rng.choice([0.0, self.rng.uniform(0, 2.5 * reach)])
        self.evidence["moment"] = f"answer {goal} of {self.baseline.total} + {pause:.1f} s"
        wait_until(lambda: call.ended() or self.run.answered() >= goal, self.timeout_s)
        return not wait_until(call.ended, pause)


def remove(folder: Path) -> None:
    """Remove a trial's folder."""
    shutil.rmtree(folder, ignore_errors=True)
