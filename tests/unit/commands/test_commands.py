"""The command `snakeval`: which run it is about, and how its errors look."""

import subprocess
from pathlib import Path

import pytest
from snakeval import __version__
from snakeval.commands import main, make_parser
from snakeval.commands.chosen_run import choose_run, run_in_folder
from snakeval.errors import UsageError
from snakeval.system.checkout import ROOT
from snakeval.workflow.session import write_resolved_config
from workspace import SNAKEVAL

CONFIG = """run: first
deployment: {type: none, name: there, served_model_name: m}
target: {api_endpoint: {url: "http://127.0.0.1:9/v1/chat/completions", model_id: m}}
evaluation: {tasks: [boolean_expressions], limit: 5}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a configuration file in it."""
    (tmp_path / "my.yaml").write_text(CONFIG, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_is_chosen_as_snakemake_chooses_it(folder: Path) -> None:
    def chosen(*words: str) -> tuple[str, str, int | None]:
        run = choose_run(make_parser().parse_args(["status", *words]))
        return run.config.run, str(run.paths.root), run.config.tasks[0].limit

    assert chosen()[:2] == ("demo", "results/demo"), "the configuration of the repository"
    assert chosen("--configfile", "my.yaml") == ("first", "results/first", 5)
    words = ["--config", "run=second", "evaluation.limit=7", "execution.output_dir=elsewhere"]
    assert chosen("--configfile", "my.yaml", *words) == ("second", "elsewhere/second", 7)
    assert chosen("--directory", str(folder.parent), "--configfile", str(folder / "my.yaml"))[0] == "first"
    assert Path.cwd() == folder.parent


def test_a_run_is_chosen_by_its_folder(folder: Path) -> None:
    begun = choose_run(make_parser().parse_args(["status", "--configfile", "my.yaml"]))
    write_resolved_config(begun.config)
    again = run_in_folder(folder / "results" / "first")
    assert again.paths.root == folder / "results" / "first"
    assert again.config.tasks == begun.config.tasks
    assert again.config.deployments == begun.config.deployments
    (folder / "results" / "first").rename(folder / "results" / "moved")
    assert run_in_folder(Path("results/moved")).config.run == "moved"
    assert choose_run(make_parser().parse_args(["status", "results/moved"])).paths.root == Path("results/moved")
    with pytest.raises(UsageError, match="both choose a run"):
        choose_run(make_parser().parse_args(["status", "results/moved", "--configfile", "my.yaml"]))


@pytest.mark.parametrize(
    ("words", "status", "first"),
    [
        (["statsu"], 2, "error: snakeval cannot be called like this"),
        ([], 2, "error: snakeval cannot be called like this"),
        (["status", "results/none"], 1, "error: results/none is not the folder of a run"),
        (["status", "--configfile", "none.yaml"], 1, "error: none.yaml does not exist"),
        (["status", "--directory", "none"], 1, "error: --directory cannot be entered"),
        (["status", "--config", "1x=2"], 1, "error: --config cannot be read"),
        (["status", "--config", "deployment.prt=9"], 1, "error: --config: deployment.prt is not a known key"),
    ],
)
def test_errors_are_four_lines(words: list[str], status: int, first: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        returned: object = main(words)
    except SystemExit as ended:
        returned = ended.code
    lines = capsys.readouterr().err.splitlines()
    assert returned == status
    assert lines[0].startswith(first)
    assert [line.split(":")[0].strip() for line in lines] == ["error", "got", "expected", "hint"]


def test_the_package_says_where_its_files_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["path"]) == 0
    assert capsys.readouterr().out == f"{ROOT}\n"


def test_the_command_works_in_any_folder(folder: Path) -> None:
    done = subprocess.run([SNAKEVAL, "--version"], capture_output=True, text=True, timeout=30, check=True, cwd=folder)
    assert done.stdout == f"snakeval {__version__}\n"
