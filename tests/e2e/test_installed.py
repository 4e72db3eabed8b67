"""The package without its checkout: the wheel carries the workflow, and `uv tool install` gives the commands."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from snakeval import __version__
from workspace import REPOSITORY, Finished

UV = str(Path(sys.executable).with_name("uv"))


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `snakeval` and `snakemake`, installed of a wheel whose checkout is gone."""
    # Scripts that call an interpreter easily break on spaces and quotes in its path.
    folder = tmp_path_factory.mktemp("it's a folder")
    checkout = folder / "checkout"
    for name in ("config", "envs", "profiles", "rules", "schemas", "scripts"):
        shutil.copytree(REPOSITORY / name, checkout / name)
    for name in ("LICENSE", "README.md", "Snakefile", "pyproject.toml", ".gitignore"):
        shutil.copy(REPOSITORY / name, checkout)
    _call([UV, "build", "--wheel", "--no-build-isolation", "--python", sys.executable, "--out-dir", folder, checkout])
    shutil.rmtree(checkout)
    (wheel,) = folder.glob("*.whl")
    tools = {"UV_TOOL_DIR": str(folder / "tools"), "UV_TOOL_BIN_DIR": str(folder / "bin")}
    # Which versions are tested stands in the lock; which packages there are, in the wheel alone.
    pinned: list[str | Path] = ["--python", sys.executable, "--constraints", REPOSITORY / "envs" / "snakeval.lock"]
    _call([UV, "tool", "install", *pinned, "--with-executables-from", "snakemake", wheel], os.environ | tools)
    return folder / "bin"


def _call(command: list[str | Path], environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> Finished:
    done = subprocess.run(
        command,
        env=environ,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return Finished(done.returncode, done.stdout)


def test_the_wheel_works_in_an_empty_folder(commands: Path, tmp_path: Path) -> None:
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    environ = {"HOME": str(home), "PATH": f"{commands}:/usr/bin:/bin", "LANG": "C.UTF-8"}

    def output(command: str) -> Finished:
        return _call(["sh", "-c", command], environ, work)

    assert output("snakeval --version").output == f"snakeval {__version__}\n"
    assert "lm-evaluation-harness" in output("snakeval tasks").output
    root = Path(output("snakeval path").output.rstrip("\n"))
    assert root.is_relative_to(commands.parent / "tools")
    plan = output('snakemake -s "$(snakeval path)/Snakefile" -n').plan
    assert plan["evaluate"] == 3
    assert plan["environment"] == 2, "locks of servers and harnesses are in the wheel"
    again = output(
        'snakemake -s "$(snakeval path)/Snakefile" --profile "$(snakeval path)/profiles/local" -n --logger snakeval'
    )
    assert again.plan == plan
    for plugin in ("snakemake_logger_plugin_snakeval", "snakemake_executor_plugin_lepton"):
        assert list((commands.parent / "tools").rglob(f"{plugin}/__init__.py")), plugin
