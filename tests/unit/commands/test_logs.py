"""`snakeval logs`: what is printed of growing logs, and when it ends."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from builders import make_config, make_deployment, make_task
from hypothesis import given
from hypothesis import strategies as st
from snakeval.commands import logs, make_parser
from snakeval.commands.chosen_run import ChosenRun
from snakeval.errors import UsageError
from snakeval.run.attempt import Attempt, Course, Stage
from snakeval.run.paths import RunPaths
from snakeval.run.session import SessionRecord
from snakeval.system.files import write_json
from snakeval.system.growing_log import BLOCK_BYTES, GrowingLog


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log.txt"


@pytest.mark.parametrize(("count", "expected"), [(0, ""), (1, "c\n"), (2, "b\nc\n"), (9, "a\nb\nc\n")])
def test_last_lines(log: Path, count: int, expected: str) -> None:
    log.write_text("a\nb\nc\n", encoding="utf-8")
    growing = GrowingLog(log)
    assert growing.last_lines(count) == expected
    assert growing.more() == ""


def test_last_lines_of_a_long_log(log: Path) -> None:
    lines = [f"{number} {'x' * 900}\n" for number in range(1000)]
    log.write_text("".join(lines), encoding="utf-8")
    assert log.stat().st_size > 10 * BLOCK_BYTES
    assert GrowingLog(log).last_lines(150) == "".join(lines[-150:])


@given(st.lists(st.text(st.characters(codec="ascii"), min_size=1), max_size=8))
def test_what_is_appended_comes_once_and_whole(tmp_path_factory: pytest.TempPathFactory, parts: list[str]) -> None:
    log = tmp_path_factory.mktemp("log") / "log.txt"
    growing = GrowingLog(log)
    read = growing.more()
    for part in parts:
        with log.open("ab") as stream:
            stream.write(part.encode())
        read += growing.more()
    assert read == "".join(parts)


def test_a_log_that_was_emptied_or_replaced_is_read_from_its_beginning(log: Path) -> None:
    log.write_text("first attempt\n", encoding="utf-8")
    growing = GrowingLog(log)
    growing.last_lines(1)
    log.write_text("2nd\n", encoding="utf-8")
    assert growing.more() == "2nd\n"
    log.write_text("emptied, and longer than before\n", encoding="utf-8")
    assert growing.more() == "emptied, and longer than before\n"
    log.rename(log.with_suffix(".1"))
    assert growing.more() == ""
    log.write_text("emptied, and longer than before\n", encoding="utf-8")
    assert growing.more() == "emptied, and longer than before\n", "another file with the same beginning"


CONFIG = make_config(Path("results"), [make_deployment("a"), make_deployment("b")], [make_task("x"), make_task("y")])


@pytest.mark.parametrize(("name", "expected"), [("a", ("a", None)), ("b/y", ("b", "y"))])
def test_names(name: str, expected: tuple[str, str | None]) -> None:
    deployment, task = logs.find_target(CONFIG, name)
    assert (deployment.name, task.name if task else None) == expected


@pytest.mark.parametrize(
    ("name", "what", "more"),
    [
        ("x", "x is ambiguous", "one of a/x, b/x"),
        ("b/z", "is no task and no deployment of run demo", "did you mean b/"),
        ("qqqq", "is no task and no deployment of run demo", "snakeval status lists"),
    ],
)
def test_names_that_mean_nothing_or_too_much(name: str, what: str, more: str) -> None:
    with pytest.raises(UsageError, match=what) as raised:
        logs.find_target(CONFIG, name)
    assert more in str(raised.value)


@pytest.fixture
def chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChosenRun]:
    """A run of one task that the command finds."""
    config = make_config(tmp_path)
    run = ChosenRun(config, RunPaths(tmp_path / config.run), ())
    monkeypatch.setattr(logs, "choose_run", lambda _: run)
    monkeypatch.setattr(logs, "POLL_S", 0.01)
    yield run


def _show(*words: str) -> int:
    arguments = make_parser().parse_args(["logs", *words])
    return int(arguments.run(arguments))


def test_the_log_of_the_step_that_goes_on(chosen: ChosenRun, capsys: pytest.CaptureFixture[str]) -> None:
    files = chosen.paths.task("tiny", "sums")
    with pytest.raises(UsageError, match="has no log yet"):
        _show("sums")
    files.ready_log.parent.mkdir(parents=True)
    files.ready_log.write_text("waiting\n", encoding="utf-8")
    assert _show("sums") == 0
    files.log.write_text("1\n2\n3\n", encoding="utf-8")
    assert _show("sums", "-n", "2") == 0
    write_json(files.attempt, asdict(Attempt(Stage.READY, 2, 3, "f")))
    assert _show("tiny/sums") == 0
    assert capsys.readouterr().out == "waiting\n2\n3\nwaiting\n"


def test_following_ends_with_the_run(
    chosen: ChosenRun, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = chosen.paths.server("tiny").log
    log.parent.mkdir(parents=True)
    log.write_text("old\n", encoding="utf-8")
    assert _show("tiny", "--follow") == 0, "nothing runs"
    session = SessionRecord()
    session.write(chosen.paths.snakemake)
    lines = iter(["one\n", "two\n", "the end\n"])
    seen = []

    def nap(_: float) -> None:
        """Let the server write a line whenever the command waits; with the last one the run ends."""
        seen.append(capsys.readouterr().out)
        line = next(lines)
        with log.open("a", encoding="utf-8") as stream:
            stream.write(line)
        if line == "the end\n":
            replace(session, ended_at=1.0, outcome="failed").write(chosen.paths.snakemake)

    monkeypatch.setattr("snakeval.commands.logs.time.sleep", nap)
    assert _show("tiny", "--follow", "-n", "0") == 0
    assert [*seen, capsys.readouterr().out] == ["old\n", "one\n", "two\n", "the end\n"]


@pytest.mark.parametrize("how", ["result", "failure"])
def test_following_a_task_ends_with_the_task(chosen: ChosenRun, how: str, capsys: pytest.CaptureFixture[str]) -> None:
    files = chosen.paths.task("tiny", "sums")
    SessionRecord(began_at=1.0).write(chosen.paths.snakemake)
    attempt = Attempt(Stage.EVALUATE, 3, 3, "f")
    if how == "result":
        write_json(files.result, {})
    else:
        write_json(files.attempt, asdict(replace(attempt, course=Course.FAILED)))
    files.folder.joinpath("log.txt").write_text("all\n", encoding="utf-8")
    assert _show("sums", "--follow") == 0
    assert capsys.readouterr().out == "all\n"


def test_an_endpoint_that_was_there_before_has_no_log(chosen: ChosenRun, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(chosen.config, deployments=(make_deployment("there", type="none"),))
    monkeypatch.setattr(logs, "choose_run", lambda _: replace(chosen, config=config))
    with pytest.raises(UsageError, match="has no log"):
        _show("there")
