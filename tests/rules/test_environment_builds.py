"""Environments as uv builds them, of a package that is made here."""

import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest
from snakeval.system.environments import CACHE_VARIABLE, ensure_environment

INFO = "tool-1.0.dist-info"
FILES = {
    "tool.py": "def main():\n    print('at work')\n",
    f"{INFO}/METADATA": "Metadata-Version: 2.1\nName: tool\nVersion: 1.0\n",
    f"{INFO}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    f"{INFO}/entry_points.txt": "[console_scripts]\ntool = tool:main\n",
}


def _wheel(folder: Path) -> Path:
    folder.mkdir()
    wheel = folder / "tool-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in FILES.items():
            archive.writestr(name, text)
        archive.writestr(f"{INFO}/RECORD", "".join(f"{name},,\n" for name in [*FILES, f"{INFO}/RECORD"]))
    return wheel


def test_programs_of_an_environment_run_after_it_was_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = _wheel(tmp_path / "wheels")
    for name, value in {"UV_FIND_LINKS": str(wheel.parent), "UV_OFFLINE": "1", "UV_NO_INDEX": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "before"))
    lock = tmp_path / "tool.lock"
    lock.write_text(f"tool==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
    name = ensure_environment(lock).parents[1].name
    (tmp_path / "before").rename(tmp_path / "after")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "after"))
    program = ensure_environment(lock).with_name("tool")
    assert program.is_relative_to(tmp_path / "after" / name)
    assert subprocess.run([program], capture_output=True, text=True, check=True).stdout == "at work\n"
