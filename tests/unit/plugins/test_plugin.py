"""The plugin that lets Snakemake's command line accept dotted keys in --config."""

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
import snakemake.cli
from config_workflow import BASE, make_workflow
from snakemake.settings import types
from snakeval.system.checkout import ROOT

PLUGIN = "snakemake_logger_plugin_snakeval"
PLAIN = snakemake.cli.parse_config


@pytest.fixture(autouse=True)
def plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Import the plugin anew, as Snakemake does when it looks for logger plugins; undone after the test."""
    monkeypatch.setattr(snakemake.cli, "parse_config", PLAIN)
    monkeypatch.setattr(types, "load_configfile", types.load_configfile)
    monkeypatch.syspath_prepend(ROOT / "scripts/plugins")
    monkeypatch.delitem(sys.modules, PLUGIN, raising=False)
    importlib.import_module(PLUGIN)


def parse(*entries: str) -> Any:
    """Parse as the command line does."""
    return snakemake.cli.parse_config(list(entries) or None)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("deployment.port=9000", {"deployment.port": 9000}),
        ("evaluation.tasks.lm-eval.gsm8k.limit=5", {"evaluation.tasks.lm-eval.gsm8k.limit": 5}),
        ("deployments.0.port=9000", {"deployments.0.port": 9000}),
        ("a.b=x=y", {"a.b": "x=y"}),
    ],
)
def test_dotted_keys_are_accepted_and_stay_flat(entry: str, expected: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="valid identifier"):
        PLAIN([entry])
    assert parse(entry) == expected


@pytest.mark.parametrize("value", ["5", "0.5", "1e-3", "true", "False", "null", "", "[x, y]", "{x: 1}", "'7'", "a b"])
def test_values_are_read_as_snakemake_does(value: str) -> None:
    assert parse(f"a.b={value}") == {"a.b": PLAIN([f"key={value}"])["key"]}


@pytest.mark.parametrize("entries", [[], ["run=second"], ["run=1", "limit=5"], ["deployment={port: 9000}", "x-y=true"]])
def test_plain_keys_are_untouched(entries: list[str]) -> None:
    assert parse(*entries) == PLAIN(entries)


def test_dotted_and_plain_keys_mix() -> None:
    assert parse("run=second", "a.b=1", "limit=5", "a.b=2") == {"run": "second", "limit": 5, "a.b": 2}


@pytest.mark.parametrize("entry", ["a..b=1", ".a=1", "a.=1", "1a.b=1", "a b.c=1", "a.b", "1a=1", "=1"])
def test_bad_keys_are_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="Invalid config definition"):
        parse("run=second", entry)


def test_snakemake_finds_the_plugin() -> None:
    from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

    assert "snakeval" in LoggerPluginRegistry().plugins


@pytest.mark.parametrize("again", ["reload", "import"])
def test_the_plugin_may_be_loaded_twice(again: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if again == "reload":
        importlib.reload(sys.modules[PLUGIN])
    else:
        monkeypatch.delitem(sys.modules, PLUGIN)
        importlib.import_module(PLUGIN)
    assert parse("a.b=1", "run=second") == {"a.b": 1, "run": "second"}
    assert snakemake.cli.parse_config.snakeval_plain is PLAIN


def test_names_with_dots_reach_their_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = BASE.replace("[colours]", "[colours, lm-eval.gsm8k]")
    overrides = parse("evaluation.tasks.lm-eval.gsm8k.limit=5", "deployment.port=9000")
    config = make_workflow(tmp_path).load(text, overrides=overrides)
    assert [(task.name, task.limit) for task in config.tasks] == [("colours", None), ("lm-eval.gsm8k", 5)]
    assert config.deployments[0].port == 9000


def test_a_missing_configfile_is_told_in_four_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        types.load_configfile(tmp_path / "nix.yaml")
    assert ended.value.code == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"error: {tmp_path}/nix.yaml does not exist"
    assert [line.split(":")[0].strip() for line in lines] == ["error", "got", "expected", "hint"]
    good = tmp_path / "good.yaml"
    good.write_text("run: x\n", encoding="utf-8")
    assert types.load_configfile(good) == {"run": "x"}
