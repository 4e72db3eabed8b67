"""What runs on a compute node before the server loads: a few modules of the package, and never the configuration."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
MAX_MODULES = 15
# Runs a program as it is, and says at its end which modules of the package it has loaded.
RUN = """
import runpy, sys

program, sys.argv = sys.argv[1], sys.argv[1:]
try:
    runpy.run_path(program, run_name="__main__")
finally:
    names = sorted(name for name in sys.modules if name.split(".")[0] == "snakeval")
    print("\\nloaded:", *names)
"""
NOWHERE = {"base_url": "http://127.0.0.1:9/v1", "model": "m", "api_key": None}
QUESTION = {"endpoint": NOWHERE, "protocol": "chat", "checks_api_key": False, "timeout_s": 1}
SUPERVISE = ["--folder", "run/tiny/server", "--server-id", "one", "--host", "127.0.0.1", "--advertise", "127.0.0.1"]
SUPERVISE += ["--idle-timeout-s", "5", "--max-restarts", "0", "--", "true"]
# Program -> arguments, standard input, a module that it needs for what it does.
PROGRAMS: Mapping[str, tuple[list[str], str, str]] = {
    "supervise": (SUPERVISE, "", "snakeval.run.server"),
    "instances": (["--help"], "", "snakeval.deployments.supervisor.router"),
    "probe": ([], json.dumps(QUESTION), "snakeval.serving.probe"),
}


def _loaded(scripts: Path, program: str, folder: Path) -> set[str]:
    """Return the modules of the package that a program has loaded at its end."""
    arguments, given, needed = PROGRAMS[program]
    (folder / "run" / "tiny" / "server").mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(scripts / "programs" / f"{program}.py"), *arguments],
        cwd=folder,
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    words = done.stdout.splitlines()[-1].split()
    assert words[0] == "loaded:", done.stderr
    assert needed in words, done.stderr
    return set(words[1:])


def _complaints(modules: set[str]) -> list[str]:
    found = [name for name in modules if name.startswith("snakeval.config")]
    return sorted(found) + ([f"{len(modules)} modules"] if len(modules) > MAX_MODULES else [])


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_of_a_compute_node_loads_little(program: str, tmp_path: Path) -> None:
    assert _complaints(_loaded(SCRIPTS, program, tmp_path)) == []


@pytest.mark.parametrize(
    ("planted", "complaint"),
    [
        ("from snakeval.config.model import Task", "snakeval.config.model"),
        ("def never() -> None: ...\n\n\nimport snakeval.commands.stop", "modules"),
        ("from snakeval.system import checkout", "16 modules"),
    ],
)
def test_an_import_too_many_is_seen(planted: str, complaint: str, tmp_path: Path) -> None:
    scripts = tmp_path / "scripts"
    shutil.copytree(SCRIPTS / "snakeval", scripts / "snakeval")
    shutil.copytree(SCRIPTS / "programs", scripts / "programs")
    with (scripts / "snakeval" / "deployments" / "supervisor" / "family.py").open("a", encoding="utf-8") as file:
        file.write(f"\n{planted}\n")
    assert any(complaint in one for one in _complaints(_loaded(scripts, "supervise", tmp_path)))
