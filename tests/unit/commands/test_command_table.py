"""The table of subcommands: what is in it and wrong or incomplete is told before anything is done."""

from pathlib import Path

import pytest
from snakeval import commands
from snakeval.commands import COMMANDS, main, make_parser
from snakeval.errors import ExtensionError

REGISTER = """
def register(subparsers):
    {body}
"""


def test_every_subcommand_is_complete() -> None:
    assert make_parser()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (None, "toy names a module that is not there"),
        ("def other(): pass", "toy names what its module does not have"),
        ("def register(): pass", "toy names no function that takes the arguments of its contract"),
        (REGISTER.format(body="pass"), "toy names a module that does not register this subcommand"),
        (REGISTER.format(body="subparsers.add_parser('toys')"), "toy names a module that does not register"),
        (REGISTER.format(body="subparsers.add_parser('toy')"), "toy has nothing to run"),
        (REGISTER.format(body="subparsers.add_parser('toy').set_defaults(run='toy')"), "toy has nothing to run"),
        (REGISTER.format(body="subparsers.add_parser('logs')"), "toy names a module that does not register"),
        ("def register(subparsers:", "toy names a module that cannot be imported"),
    ],
)
def test_what_is_incomplete_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    body: str | None,
    words: str,
) -> None:
    name = f"toy_command_{abs(hash(body))}"
    if body is not None:
        (tmp_path / f"{name}.py").write_text(body, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(commands, "COMMANDS", {**COMMANDS, "toy": name})
    assert main(["path"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("error: scripts/snakeval/commands/__init__.py: ")
    assert words in told


def test_an_entry_names_a_module_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "COMMANDS", {"toy": "snakeval.commands.logs:register"})
    with pytest.raises(ExtensionError, match="toy names a module that is not there"):
        make_parser()
