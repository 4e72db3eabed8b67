"""Launch scripts without anything that depends on the machine, and programs that record how they are called."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from builders import make_execution
from hypothesis import strategies as st
from snakeval.config.model import Deployment, Execution
from snakeval.deployments import launch
from snakeval.deployments.launch import Placement, render_launch_script
from snakeval.run.paths import ServerPaths
from snakeval.system.checkout import ROOT
from snakeval.system.files import write_text

SHELLCHECK = Path(sys.executable).with_name("shellcheck")
BASH = shutil.which("bash") or "/bin/bash"
ROUTER_PYTHON = Path("/environments/router/bin/python")
PLACEMENT = Placement(host="127.0.0.1", advertise="127.0.0.1", server_id="0123456789abcdef")
TEMPLATES = launch._templates()
# What a recorder is called with goes to $RECORD, each word ended by NUL, the one byte that no word can hold.
RECORDER = f'#!{BASH}\nfor word; do printf "%s\\0" "$word"; done >"$RECORD"\n'
# The same, and its whole environment beside it.
FULL_RECORDER = RECORDER + 'env -0 >"$RECORD.env"\n'
RUNTIMES = ("apptainer", "podman", "pyxis")
HOSTILE = st.lists(
    st.sampled_from([" ", "'", '"', "$(touch x)", "`touch x`", "$HOME", "\n", "\r", "\t", "\\", "#", "-", "--", ";"])
    | st.sampled_from(["{{ 1 }}", "{% raw %}", "*", "~", "!", "&", "é", "模", "\u2028", "\x85", "|", "\ntouch x\n"])
    | st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=4),
    max_size=5,
).map("".join)
WORST = "-x '\"; $(touch x) `touch x` \n touch x # \\\n模"


@dataclass(frozen=True)
class Recorders:
    """Programs that write down their arguments, in a folder without anything else."""

    folder: Path

    def render(
        self,
        deployment: Deployment,
        run: str = "demo",
        folder: str = "/results/demo/tiny/server",
        execution: Execution | None = None,
    ) -> str:
        """Render with recorders in place of all interpreters."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "executable", str(self.folder / "recorder"))
            return render_portably(patch, deployment, self.folder / "recorder", run, folder, execution)

    def words(self, script: str, supervised: bool, path: str | None = None) -> list[str]:
        """Run a script, as the supervisor does or as the backend does, and return what the recorder was given."""
        record = self.folder / "record"
        record.unlink(missing_ok=True)
        assert self.run(script, supervised, path) == b""
        assert sorted(one.name for one in self.folder.iterdir()) == ["launch.sh", "record", "recorder"]
        return record.read_bytes().decode().split("\0")[:-1]

    def run(self, script: str, supervised: bool, path: str | None = None) -> bytes:
        """Run a script, as the supervisor does or as the backend does, and return its output."""
        write_text(self.folder / "launch.sh", script)
        environment = {"PATH": path or os.environ["PATH"], "RECORD": str(self.folder / "record")}
        if supervised:
            environment |= {"SNAKEVAL_SUPERVISED": "1", "SNAKEVAL_HOST": "127.0.0.9", "SNAKEVAL_PORT": "4321"}
            environment |= {"SNAKEVAL_API_KEY": "k3y"}
        done = subprocess.run(
            [BASH, "launch.sh"], cwd=self.folder, env=environment, capture_output=True, timeout=30, check=False
        )
        assert (done.returncode, done.stderr) == (0, b"")
        return done.stdout


def render_portably(
    patch: pytest.MonkeyPatch,
    deployment: Deployment,
    interpreter: Path,
    run: str = "demo",
    folder: str = "/results/demo/tiny/server",
    execution: Execution | None = None,
) -> str:
    """Render without anything that depends on the machine or on the version."""
    patch.setattr(launch, "__version__", "1.2.3")
    patch.setattr(launch, "_templates", lambda: TEMPLATES)
    patch.setattr(launch, "environment_python", lambda name: interpreter if "router" not in name else ROUTER_PYTHON)
    files = ServerPaths(Path(folder))
    script = render_launch_script(run, deployment, execution or make_execution(), files, PLACEMENT)
    return script.replace(str(ROOT), "/snakeval")


def make_recorder(path: Path) -> None:
    path.write_text(RECORDER, encoding="utf-8")
    path.chmod(0o755)
