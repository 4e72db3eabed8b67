"""Commands beside a server: steps inside its Slurm allocation, without a queue. Facts: srun(1) of 22.05 and later."""

import json
import secrets
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from snakeval.endpoint import Endpoint, Protocol
from snakeval.errors import EndpointError
from snakeval.system.checkout import PROGRAMS
from snakeval.system.slurm import call

PROBE = PROGRAMS / "probe.py"
STEP_START_S = 180.0


@dataclass(frozen=True)
class Step:
    """A place beside a server, on the first node of its job.

    Attributes:
        job_id: The server's job.
        name: Of the step; finds it again when its srun was killed.
    """

    job_id: str
    name: str = field(default_factory=lambda: f"snakeval-{secrets.token_hex(6)}")

    @property
    def place(self) -> tuple[str, ...]:
        """The options of srun that lead there."""
        where = (f"--jobid={self.job_id}", "--overlap", "--nodes=1", "--ntasks=1", "--relative=0")
        # A harness that saw the GPUs could take memory that the server counts on.
        return (*where, "--gres=none", f"--job-name={self.name}")

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command that runs `argv` there, with our environment, working directory and output."""
        return ["srun", *self.place, "--", *argv]

    def end(self) -> None:
        """Cancel what is left of the step; a killed srun leaves it running. Safe to call twice."""
        listed = call(["squeue", "--noheader", "--steps", f"--jobs={self.job_id}", "--format=%i|%j"])
        rows = (line.strip().split("|", 1) for line in listed.stdout.splitlines() if "|" in line)
        left = [step for step, name in rows if name == self.name]
        if left:
            call(["scancel", *left])

    def check(self, endpoint: Endpoint, protocol: Protocol, checks_api_key: bool, timeout_s: float) -> None:
        """See `Beside`."""
        question = {"endpoint": asdict(endpoint), "protocol": protocol.value, "checks_api_key": checks_api_key}
        given = json.dumps({**question, "timeout_s": timeout_s})
        # By standard input, because the key is in it.
        done = call(self.command([sys.executable, str(PROBE)]), STEP_START_S + timeout_s, given)
        if done.returncode != 0:
            raise EndpointError(_reason(done))


def _reason(done: "subprocess.CompletedProcess[str]") -> str:
    said = [line for line in done.stderr.splitlines() if not line.startswith("srun: error:")]
    return "\n".join(said).removeprefix("error: ") or f"srun: {done.stderr.strip()}"
