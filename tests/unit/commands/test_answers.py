"""`snakeval answers`: what it prints of a journal, packed or not."""

import json
from pathlib import Path

import msgspec
import pytest
from snakeval.commands import main
from snakeval.gateway.entries import Answer, Header
from snakeval.gateway.journal import Journal, pack
from snakeval.run.gateway_paths import GatewayPaths
from snakeval.run.paths import RunPaths

CONFIG = """
run: demo
deployment: {type: none}
target: {api_endpoint: {url: "http://127.0.0.1:1/v1", model_id: there}}
execution: {output_dir: %s}
evaluation: {tasks: [{name: sums, harness: command, command: "true"}]}
"""


def _answer(key: str, text: str, kind: str, finish: str) -> Answer:
    sent = {"model": "m", "messages": [{"role": "user", "content": f"Say {text}."}]}
    reply = {"choices": [{"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}]}
    return Answer(
        key=key * 16,
        life="x",
        path="/chat/completions",
        sent=msgspec.Raw(json.dumps(sent).encode()),
        reply=msgspec.Raw(json.dumps(reply).encode()),
        kinds=[kind],
        finish_reasons=[finish],
        prompt_tokens=3,
        completion_tokens=None,
        latency_s=0.25,
        tries=1,
        attempt=1,
        generation=None,
        at=0.0,
    )


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "run.yaml").write_text(CONFIG % (tmp_path / "results"), encoding="utf-8")
    return tmp_path


def _journal(run: Path) -> Path:
    path = GatewayPaths(RunPaths(run / "results" / "demo").task("there", "sums").folder).journal
    journal = Journal(path, Header("d", "a", "0"), "x")
    journal.remember(_answer("00", "four", "answered", "stop"))
    journal.remember(_answer("01", "fi", "cut off", "length"))
    journal.give_up("02" * 16, "aborted", "finish_reason abort")
    journal.close()
    return path


def _call(run: Path, *words: str) -> int:
    return main(["answers", *words, "--configfile", str(run / "run.yaml")])


def test_requests_and_answers_are_shown(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _journal(run)
    assert _call(run, "sums") == 0
    said = capsys.readouterr().out
    assert f"--- {'00' * 16}: answered, 0.25 s, 3 + ? tokens\nuser: Say four.\nanswer (stop): four\n" in said
    assert "answer (length): fi" in said
    assert f"--- {'02' * 16}: aborted\nfinish_reason abort" in said
    pack(path)
    assert _call(run, "there/sums", "--kind", "cut off") == 0
    said = capsys.readouterr().out
    assert "fi" in said
    assert "four" not in said


def test_as_json(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _journal(run)
    assert _call(run, "sums", "--json", "-n", "1") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["sent"]["messages"][0]["content"] == "Say four."


def test_what_cannot_be_shown_is_an_error(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _call(run, "sums") == 1
    assert "has no answers yet" in capsys.readouterr().err
    assert _call(run, "there") == 1
    assert "is a deployment" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        _call(run, "sums", "--kind", "abortive")
    _journal(run)
    assert _call(run, "sums", "--kind", "refused") == 0
    assert capsys.readouterr().out == "no answer of kind refused\n"
