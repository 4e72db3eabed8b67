"""What becomes of a submitted job: pure decisions from what Lepton says and how long it has been saying it."""

from dataclasses import dataclass
from enum import StrEnum

from .model import Issue

# A list of jobs may be a moment behind: only a job that is missing again and again is lost.
MISSING_LIMIT = 3
WAITING = ("Starting", "Queueing", "Awaiting")
SUCCEEDED = ("Completed",)
ENDED = ("Failed", "Stopped", "Deleted", "Deleting", "Archived")
# Reasons that never mend themselves, and reasons that are a normal part of starting.
HOPELESS = ("Failed", "ConfigError", "DeploymentConfigError", "SystemError", "UserCodeError")
NO_ROOM = ("NoCapacity", "WaitingForCapacity", "Queueing", "NodeNotReady")


class Verdict(StrEnum):
    """What to do with a job."""

    GOES_ON = "goes on"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass
class Watched:
    """What is remembered of a submitted job.

    Attributes:
        job_id: Lepton's id.
        name: Our name.
        since: When it was submitted, on the clock of `judge`.
        missing: How often in a row the list lacked it.
        asked: When its reason was last asked for.
        issue: The reason, as far as known.
        told: The reason that the user has been told.
        state: Lepton's last word.
    """

    job_id: str
    name: str
    since: float
    missing: int = 0
    asked: float = float("-inf")
    issue: Issue | None = None
    told: str | None = None
    state: str = "Starting"


@dataclass(frozen=True)
class Judgement:
    """A verdict and, unless all is well, why, for people."""

    verdict: Verdict
    message: str = ""


def judge(job: Watched, state: str | None, now: float, start_timeout_s: float) -> Judgement:
    """Decide about a job, and note what was seen in it.

    Args:
        job: The job; its `issue` is up to date as far as it may be.
        state: What the latest list says, None when the job is not in it.
        now: Seconds on any steady clock.
        start_timeout_s: How long it may take to start.
    """
    if state is None:
        job.missing += 1
        lost = f"Lepton job {job.job_id} does not exist any more (last seen: {job.state})"
        return Judgement(Verdict.FAILED, lost) if job.missing >= MISSING_LIMIT else Judgement(Verdict.GOES_ON)
    job.missing, job.state = 0, state
    if state in SUCCEEDED:
        return Judgement(Verdict.SUCCEEDED)
    if state in ENDED:
        return Judgement(Verdict.FAILED, f"Lepton job {job.job_id} has ended: {state}{_because(job.issue)}")
    if state not in WAITING:
        # Also states that are not known yet: a job that may be running is not given up.
        job.issue = None
        return Judgement(Verdict.GOES_ON)
    if job.issue is not None and job.issue.reason in HOPELESS:
        hint = " (check the image's name and the registry credentials)" if "mage" in str(job.issue) else ""
        return Judgement(Verdict.FAILED, f"Lepton job {job.job_id} cannot start: {state}, {job.issue}{hint}")
    if now - job.since > start_timeout_s:
        waited = f"still {state} after --lepton-start-timeout ({start_timeout_s:.0f} s)"
        return Judgement(Verdict.FAILED, f"Lepton job {job.job_id} is {waited}{_because(job.issue)}")
    return Judgement(Verdict.GOES_ON)


def wants_reason(job: Watched, state: str | None, now: float, interval_s: float) -> bool:
    """Return whether it is time to ask why a job does not run: soon after its submission, then rarely."""
    return state in WAITING and now - job.asked >= interval_s


def news(job: Watched) -> str | None:
    """Return a line about why a job waits, once for every new reason; None when there is nothing new."""
    if job.issue is None or job.issue.reason not in NO_ROOM or str(job.issue) == job.told:
        return None
    job.told = str(job.issue)
    return f"Lepton job {job.job_id} waits: {job.issue}"


def _because(issue: Issue | None) -> str:
    return f", {issue}" if issue is not None else ""
