"""A checkpoint is made of a GGUF file once, whoever asks, and appears complete or not at all."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from dev import gguf_to_checkpoint
from dev.gguf_to_checkpoint import make_checkpoint
from snakeval.system.files import locked

CONVERT = """\
import sys
from pathlib import Path

source, target = map(Path, sys.argv[1:])
with source.with_name("conversions").open("a") as log:
    log.write("one\\n")
target.mkdir()
(target / "config.json").write_text(source.read_text())
sys.exit(source.read_text() == "broken")
"""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file to convert, with a converter that copies it and keeps count."""
    converter = tmp_path / "convert.py"
    converter.write_text(CONVERT, encoding="utf-8")
    monkeypatch.setattr(gguf_to_checkpoint, "CONVERTER", converter)
    monkeypatch.setattr(gguf_to_checkpoint, "ensure_environment", lambda _: Path(sys.executable))
    source = tmp_path / "model.gguf"
    source.write_text("weights", encoding="utf-8")
    return source


def test_two_callers_convert_once(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2, timeout=10)

    @contextmanager
    def meet(path: Path) -> Iterator[None]:
        # Both have seen that there is no checkpoint yet.
        both.wait()
        with locked(path):
            yield

    monkeypatch.setattr(gguf_to_checkpoint, "locked", meet)
    target = tmp_path / "checkpoints" / "smol"
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(make_checkpoint, [str(source)] * 2, [target] * 2))
    assert made == [target, target]
    assert (target / "config.json").read_text() == "weights"
    assert (tmp_path / "conversions").read_text() == "one\n"
    # What is there is not even locked.
    assert make_checkpoint(str(source), target) == target


def test_a_failed_conversion_leaves_nothing_and_is_repeated(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "checkpoints" / "smol"
    source.write_text("broken", encoding="utf-8")
    for _ in range(2):
        with pytest.raises(subprocess.CalledProcessError):
            make_checkpoint(str(source), target)
        assert [path.name for path in target.parent.iterdir()] == [".smol.lock"]
    source.write_text("weights", encoding="utf-8")
    make_checkpoint(str(source), target)
    assert (target / "config.json").read_text() == "weights"
