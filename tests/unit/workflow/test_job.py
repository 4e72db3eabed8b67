"""What every job has in common: its log, and how its errors look."""

from pathlib import Path

import pytest
from builders import make_config, make_deployment, make_task
from snakeval.errors import ConfigError, DeploymentError, Problem
from snakeval.workflow.job import deployment_named, job, task_named


def test_progress_goes_to_log_and_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "a" / "log.txt"
    with job(log, "evaluate tiny/sums") as journal:
        journal.say("5/20 samples")
        assert log.read_text(encoding="utf-8").endswith("] 5/20 samples\n")
    assert capsys.readouterr().err == "[evaluate tiny/sums] 5/20 samples\n"


def test_the_first_attempt_empties_the_log_and_later_ones_append(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("of an earlier call\n", encoding="utf-8")
    for attempt in (1, 2):
        with job(log, "ready tiny", attempt) as journal:
            journal.stream.write(f"text {attempt}\n")
    assert log.read_text(encoding="utf-8") == "text 1\n\n--- attempt 2\ntext 2\n"


def test_earlier_attempts_are_told_although_snakemake_deletes_the_log(tmp_path: Path) -> None:
    """As it does when it prepares a job on a node of a cluster."""
    log = tmp_path / "log.txt"
    for attempt in (1, 2):
        with pytest.raises(SystemExit), job(log, "evaluate tiny/sums", attempt) as journal:
            journal.stream.write(f"text {attempt}\n")
            raise DeploymentError("lost")
        log.unlink()
    with job(log, "evaluate tiny/sums", 3):
        pass
    lines = ["text 1", "error: lost", "", "--- attempt 2", "text 2", "error: lost", "", "--- attempt 3"]
    assert log.read_text(encoding="utf-8").splitlines() == lines
    assert list(tmp_path.iterdir()) == [log]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (DeploymentError("no server;\nthe end of its log"), "no server;\nthe end of its log"),
        (
            ConfigError([Problem("a.yaml: b", "is bad", "1", "2", "3")]),
            "a.yaml: b is bad\n  got:      1\n  expected: 2\n",
        ),
    ],
)
def test_an_error_is_told_without_traceback(
    error: Exception, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log.txt"
    with pytest.raises(SystemExit) as ended, job(log, "ready tiny", 1):
        raise error
    assert ended.value.code == 1
    assert log.read_text(encoding="utf-8").startswith(f"error: {text}")
    told = capsys.readouterr().err
    assert told.startswith(f"\nerror: ready tiny, attempt 1: {text}")
    assert told.endswith(f"\n  log: {log}\n\n")


def test_an_interrupt_and_a_bug(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    with pytest.raises(SystemExit) as ended, job(log, "ready tiny"):
        raise KeyboardInterrupt
    assert (ended.value.code, log.read_text(encoding="utf-8")) == (130, "interrupted\n")
    with pytest.raises(ZeroDivisionError), job(log, "ready tiny"):
        raise ZeroDivisionError


def test_parts_by_name() -> None:
    deployments, tasks = [make_deployment("a"), make_deployment("b")], [make_task("x"), make_task("y")]
    config = make_config(deployments=deployments, tasks=tasks)
    assert deployment_named(config, "b") is deployments[1]
    assert task_named(config, "y") is tasks[1]
