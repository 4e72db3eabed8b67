"""The launch script where a platform runs the image: the same server, without supervisor, and clean for shellcheck."""

import subprocess
import sys
from pathlib import Path

from builders import make_deployment, make_execution
from snakeval.deployments.launch import Placement, render_launch_script
from snakeval.run.paths import ServerPaths

SHELLCHECK = Path(sys.executable).with_name("shellcheck")
PLATFORM = Placement("0.0.0.0", "0.0.0.0", "", platform_port=8000)
FILES = ServerPaths(Path("/results/demo/tiny/server"))


def _render(type_name: str, placement: Placement) -> str:
    deployment = make_deployment(type=type_name)
    return render_launch_script("demo", deployment, make_execution(), FILES, placement)


def test_there_is_no_supervisor_and_no_key() -> None:
    """The server itself is that of all backends: test_same_server.py."""
    script = _render("llamacpp", PLATFORM)
    assert "supervise.py" not in script
    assert "export SNAKEVAL_HOST=0.0.0.0 SNAKEVAL_PORT=8000 SNAKEVAL_API_KEY=\n" in script


def test_it_runs_as_the_command_of_a_container() -> None:
    deployment = make_deployment(command='echo "on $SNAKEVAL_HOST:$SNAKEVAL_PORT, key <$SNAKEVAL_API_KEY>"')
    script = render_launch_script("demo", deployment, make_execution(), FILES, PLATFORM)
    command = ["/bin/bash", "-c", script]
    done = subprocess.run(command, env={}, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "on 0.0.0.0:8000, key <>\n"


def test_shellcheck_is_content(tmp_path: Path) -> None:
    file = tmp_path / "launch.sh"
    file.write_text(_render("llamacpp", PLATFORM))
    done = subprocess.run([SHELLCHECK, file], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")
