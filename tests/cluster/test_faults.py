"""Faults on a real Slurm: what is hit, what the run does about it, and that the same command repairs it.

Every run has a task that has ended before the fault and one that is in the midst of its requests.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from cluster.conftest import SlurmWorkspace, cluster_option, slurm_call
from snakeval.system.files import read_json
from workspace import CHECKPOINT, REPOSITORY, Running, eventually

PROGRAM = str(REPOSITORY / "tests" / "fakes" / "command_task.py")
REPAIR_PLAN = {"ready": 1, "evaluate": 1, "teardown": 1, "aggregate": 1, "report": 1, "all": 1}
EMPTY_AFTER_S = 60


class Interrupted:
    """A run whose task `well` has ended, and whose task `slow` waits for a file with one request answered."""

    def __init__(self, slurm: SlurmWorkspace) -> None:
        self.slurm = slurm
        self.gate = slurm.folder / "gate"
        self.running: Running | None = None

    def begin(self, *arguments: str, **execution: Any) -> Running:
        """Start Snakemake and wait until it is there."""
        well = {"name": "well", "command": [sys.executable, PROGRAM]}
        slow = {"name": "slow", "command": [sys.executable, PROGRAM, "--wait", str(self.gate)]}
        self.slurm.configure(
            {
                "deployment": {"type": "llamacpp", "checkpoint_path": CHECKPOINT, "name": "a"},
                "execution": {"type": "slurm", "mem_gb": 2, "cpus_per_task": 2, "walltime": "00:20:00", **execution},
                "evaluation": {"tasks": [well, slow], "limit": 3},
            }
        )
        self.running = self.slurm.start(*arguments)
        results = self.slurm.results / "a"
        eventually((results / "slow" / "harness" / "progress.json").exists, 120, "the first answer of task slow")
        # The lease goes when Snakemake has noted that the task has ended.
        eventually(lambda: not (results / "well" / "lease.json").exists(), 120, "the end of task well")
        return self.running

    def state(self) -> dict[str, Any]:
        """Return what the supervisor has registered last."""
        return read_json(self.slurm.results / "a" / "server" / "state.json") or {}

    def log(self) -> str:
        """Return the log of the task that was hit."""
        return (self.slurm.results / "a" / "slow" / "log.txt").read_text(encoding="utf-8")

    def task_job(self) -> str:
        """Return the id of the job of the task that runs."""
        (job,) = self.slurm.task_jobs()
        return job

    def back_from_queue(self) -> None:
        """Wait until all jobs are in the queue again, and take off the two minutes for which Slurm holds them."""
        hastened: set[str] = set()

        def began() -> bool:
            for job in self.slurm.queue():
                if job.state == "PENDING" and job.id not in hastened:
                    # Not at once: Slurm refuses to start a job in the second in which it ended it.
                    slurm_call("scontrol", "update", f"JobId={job.id}", "StartTime=now+3")
                    hastened.add(job.id)
            now = self.state()
            return (now.get("state"), now.get("incarnation")) == ("READY", 1)

        eventually(began, 150, "the second incarnation of the server")

    def finish(self) -> str:
        """Let the task go on; return what Snakemake printed."""
        assert self.running is not None
        self.gate.touch()
        done = self.running.wait()
        assert done.returncode == 0, done.output
        assert self.slurm.result("a", "slow")["samples"] == {"asked": 3, "answered": 3, "failed": 0}
        return done.output

    def fail_and_repair(self) -> str:
        """See Snakemake fail with nothing left in the queue, then repair the run by the same command.

        Returns:
            What the failed call had to say.
        """
        assert self.running is not None
        done = self.running.wait()
        assert done.returncode != 0, done.output
        log = self.log()
        self.repair()
        return done.output + log

    def repair(self) -> None:
        """Run the same command again: only the unfinished task is in its plan."""
        eventually(lambda: self.slurm.jobs() == [], EMPTY_AFTER_S, "an empty queue")
        before = (self.slurm.results / "a" / "well" / "result.json").stat().st_mtime_ns
        self.gate.touch()
        assert self.slurm.run("--dry-run").plan == REPAIR_PLAN
        done = self.slurm.run()
        assert done.returncode == 0, done.output
        assert done.plan == REPAIR_PLAN
        assert (self.slurm.results / "a" / "well" / "result.json").stat().st_mtime_ns == before


@pytest.fixture
def interrupted(slurm: SlurmWorkspace) -> Interrupted:
    """A run to disturb."""
    return Interrupted(slurm)


def test_scancel_of_the_server(interrupted: Interrupted) -> None:
    interrupted.begin("--retries", "0", max_restarts=0)
    slurm_call("scancel", *interrupted.slurm.server_jobs())
    interrupted.fail_and_repair()


@pytest.mark.without_accounting
def test_scancel_of_a_task(interrupted: Interrupted) -> None:
    interrupted.begin("--retries", "0")
    slurm_call("scancel", interrupted.task_job())
    interrupted.fail_and_repair()


def _limit_time(interrupted: Interrupted, minutes: int) -> None:
    (job,) = interrupted.slurm.server_jobs()
    slurm_call("scontrol", "update", f"JobId={job}", f"TimeLimit={minutes}")


def test_a_server_that_runs_out_of_time(interrupted: Interrupted) -> None:
    """Its supervisor is stopped, so that nobody acts on Slurm's warning and the job really ends as TIMEOUT.

    Slurm wakes it before it ends it, and it may put an end of its own on record: Slurm's word is what the user is told.
    """
    interrupted.begin("--retries", "0", max_restarts=0)
    os.kill(interrupted.state()["supervisor_pid"], signal.SIGSTOP)
    _limit_time(interrupted, 1)
    done = interrupted.fail_and_repair()
    assert "died while the task ran (its Slurm job" in done
    assert "has ended as TIMEOUT" in done


def test_a_server_goes_back_into_the_queue_before_its_time_is_over(interrupted: Interrupted) -> None:
    interrupted.begin(drain_s=30)
    (job,) = interrupted.slurm.server_jobs()
    _limit_time(interrupted, 1)
    eventually(lambda: interrupted.state()["state"] == "PENDING", 90, "the server's way back into the queue")
    _limit_time(interrupted, 20)
    interrupted.back_from_queue()
    assert interrupted.slurm.server_jobs() == [job]
    interrupted.finish()
    assert interrupted.slurm.result("a", "slow")["times"]["attempt"] == 1
    assert "requests wait for it" in interrupted.log()


def test_preemption_puts_server_and_task_back_and_costs_no_attempt(interrupted: Interrupted) -> None:
    interrupted.begin()
    (job,) = interrupted.slurm.server_jobs()
    urgent = interrupted.slurm.submit("--partition=prio", "--nodes=4", "--exclusive")

    def states() -> dict[str, str]:
        return {job.id: job.state for job in interrupted.slurm.queue()}

    eventually(lambda: states().get(urgent) == "RUNNING", 60, "the urgent job")
    assert sorted(states().values()) == ["PENDING", "PENDING", "RUNNING"]
    slurm_call("scancel", urgent)
    interrupted.back_from_queue()
    assert interrupted.slurm.server_jobs() == [job]
    interrupted.finish()
    assert interrupted.slurm.result("a", "slow")["times"]["attempt"] == 1


def test_a_lost_node_costs_no_attempt(interrupted: Interrupted) -> None:
    interrupted.begin()
    (job,) = interrupted.slurm.server_jobs()
    node = interrupted.slurm.node_of(job)
    # The task is elsewhere, or it would be lost as well.
    pid_file = Path(cluster_option("SlurmdPidFile").replace("%n", node))
    os.kill(int(pid_file.read_text()), signal.SIGKILL)
    try:
        interrupted.back_from_queue()
        assert interrupted.slurm.node_of(job) != node
        interrupted.finish()
    finally:
        slurm_call("slurmd", "-N", node)
        state = ("sinfo", "--noheader", "--Node", f"--nodes={node}", "--partition=main", "--format=%T")
        eventually(lambda: slurm_call(*state) in ("idle", "mixed"), 60, "the node's return")
    assert interrupted.slurm.result("a", "slow")["times"]["attempt"] == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_snakemake_empties_the_queue(interrupted: Interrupted, number: signal.Signals) -> None:
    running = interrupted.begin()
    running.signal(number)
    eventually(lambda: interrupted.slurm.jobs() == [], EMPTY_AFTER_S, "an empty queue")
    interrupted.fail_and_repair()


def test_a_killed_snakemake_keeps_nothing_longer_than_the_idle_time(interrupted: Interrupted) -> None:
    running = interrupted.begin(idle_timeout_s=20)
    running.signal(signal.SIGKILL)
    running.wait()
    eventually(lambda: interrupted.slurm.jobs() == [], EMPTY_AFTER_S, "an empty queue")
    assert interrupted.state()["reason"] in ("no sign of life of Snakemake for 20 s", "idle for 20 s")
    interrupted.repair()


def test_a_killed_snakemake_may_be_followed_at_once(interrupted: Interrupted) -> None:
    """The tasks of the dead one end when they see their new owner; none runs twice at a time."""
    running = interrupted.begin()
    running.signal(signal.SIGKILL)
    running.wait()
    orphan = interrupted.task_job()
    (server,) = interrupted.slurm.server_jobs()
    assert interrupted.slurm.run("--dry-run").plan == REPAIR_PLAN
    again = interrupted.slurm.start()
    eventually(lambda: orphan not in interrupted.slurm.jobs(), 60, "the end of the orphaned task")
    eventually(lambda: len(interrupted.slurm.jobs()) == 2, 60, "the new job of the task")
    assert interrupted.slurm.server_jobs() == [server], "the server that was up is used again"
    interrupted.running = again
    interrupted.finish()
