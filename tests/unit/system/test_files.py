"""Files that survive being killed, and locks that the kernel frees."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from snakeval.system import files
from snakeval.system.files import HeldLock, last_lines, locked, read_json, write_json, write_text

HOLDER = "import sys; from pathlib import Path; from snakeval.system.files import HeldLock\n"
HOLDER += "lock = HeldLock(Path(sys.argv[1])); print(lock.acquire(), flush=True); sys.stdin.read()"


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_text_is_written_whole_into_a_new_folder(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    write_text(path, "eins\nzwei, 二\n")
    assert path.read_bytes() == "eins\nzwei, 二\n".encode()
    assert _mode(path) == 0o644
    write_text(path, "", mode=0o755)
    assert (path.read_bytes(), _mode(path)) == (b"", 0o755)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("failing", ["chmod", "replace"])
def test_a_write_that_fails_leaves_the_old_file_alone(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.json"
    write_text(path, "old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, failing, fail)
    with pytest.raises(OSError, match="disk full"):
        write_text(path, "new")
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text(encoding="utf-8") == "old"


def test_a_secret_is_never_readable_by_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    replace = Path.replace

    def look(source: Path, target: Path) -> Path:
        seen.append(_mode(source))
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", look)
    before = os.umask(0)
    try:
        write_json(tmp_path / "secrets.json", {"key": "x"}, mode=0o600)
    finally:
        os.umask(before)
    assert [*seen, _mode(tmp_path / "secrets.json")] == [0o600, 0o600]


def test_json_is_readable_for_people(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"b": "ü", "a": [1]})
    assert path.read_text(encoding="utf-8") == '{\n  "b": "ü",\n  "a": [\n    1\n  ]\n}\n'
    assert read_json(path) == {"b": "ü", "a": [1]}


@pytest.mark.parametrize("text", [None, "", '{"state": "REA'])
def test_json_that_is_not_there_yet_is_none(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    assert read_json(path) is None


def test_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    assert last_lines(log) == "(no output)"
    log.touch()
    assert last_lines(log) == "(no output)"
    log.write_bytes(b"one\ntwo\xff\nthree")
    assert last_lines(log) == "one\ntwo\ufffd\nthree"
    assert last_lines(log, 2) == "two\ufffd\nthree"
    log.write_text("".join(f"line {number}\n" for number in range(20_000)), encoding="utf-8")
    assert last_lines(log) == "\n".join(f"line {number}" for number in range(19_985, 20_000))


def test_locked_excludes_others_until_its_end(tmp_path: Path) -> None:
    path, other = tmp_path / "run" / ".lock", HeldLock(tmp_path / "run" / ".lock")
    with pytest.raises(KeyError), locked(path):
        assert not other.acquire()
        raise KeyError
    assert other.acquire()
    other.release()


def test_a_held_lock_is_ours_until_released(tmp_path: Path) -> None:
    ours, other = HeldLock(tmp_path / "run" / "lock"), HeldLock(tmp_path / "run" / "lock")
    ours.release()
    assert ours.acquire()
    assert not ours.acquire()
    assert not other.acquire()
    ours.release()
    ours.release()
    assert other.acquire()
    assert not ours.acquire()
    other.release()


def test_the_kernel_frees_the_lock_of_a_killed_process(tmp_path: Path) -> None:
    lock = HeldLock(tmp_path / "lock")
    environment = {"PYTHONPATH": str(Path(files.__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "lock")],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"True\n"
        assert not lock.acquire()
        holder.kill()
        holder.wait(timeout=10)
        assert lock.acquire()
    lock.release()
