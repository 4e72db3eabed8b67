"""The launch script where a platform runs the image: the same server, without supervisor, and clean for shellcheck."""

import subprocess
import sys
from pathlib import Path

import pytest
from builders import make_deployment, make_execution
from snakeval.launch import Placement, render_launch_script
from snakeval.paths import ServerPaths

SHELLCHECK = Path(sys.executable).with_name("shellcheck")
HERE = Placement("127.0.0.1", "127.0.0.1", "0123456789abcdef")
PLATFORM = Placement("0.0.0.0", "0.0.0.0", "", platform_port=8000)


def _render(type_name: str, placement: Placement) -> str:
    deployment = make_deployment(type=type_name)
    return render_launch_script("demo", deployment, make_execution(), ServerPaths(Path("/results")), placement)


@pytest.mark.parametrize("type_name", ["generic", "llamacpp"])
def test_the_server_is_the_same_everywhere(type_name: str) -> None:
    here, there = _render(type_name, HERE), _render(type_name, PLATFORM)
    assert here.partition("\nfi\n")[2].strip() == there.partition("SNAKEVAL_API_KEY=\n")[2].strip()
    assert "supervise.py" not in there
    assert "export SNAKEVAL_HOST=0.0.0.0 SNAKEVAL_PORT=8000 SNAKEVAL_API_KEY=\n" in there


def test_it_runs_as_the_command_of_a_container() -> None:
    deployment = make_deployment(command='echo "on $SNAKEVAL_HOST:$SNAKEVAL_PORT, key <$SNAKEVAL_API_KEY>"')
    script = render_launch_script("demo", deployment, make_execution(), ServerPaths(Path("/results")), PLATFORM)
    command = ["/bin/bash", "-c", script]
    done = subprocess.run(command, env={}, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "on 0.0.0.0:8000, key <>\n"


def test_shellcheck_is_content(tmp_path: Path) -> None:
    file = tmp_path / "launch.sh"
    file.write_text(_render("llamacpp", PLATFORM))
    done = subprocess.run([SHELLCHECK, file], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")
