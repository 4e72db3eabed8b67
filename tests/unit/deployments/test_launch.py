"""The launch script: as committed for each type, clean for shellcheck, and proof against hostile values."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from builders import make_deployment, make_execution
from engine_cases import ENGINES, LINE
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jinja2 import UndefinedError
from launch_bench import HOSTILE, PLACEMENT, SHELLCHECK, WORST, Recorders, make_recorder, render_portably
from snakeval.config.reading.tree import Node
from snakeval.deployments import launch
from snakeval.deployments.launch import health_path
from snakeval.system.checkout import TEMPLATES

GOLDEN = Path(__file__).parents[2] / "fixtures" / "launch"

CASES = {
    "llamacpp": make_deployment(type="llamacpp"),
    "llamacpp-everything": make_deployment(
        type="llamacpp",
        served_model_name="tiny model",
        port=8001,
        checkpoint_path="package:llm_tiny/tiny.gguf",
        threads=4,
        cache_prompt=False,
        chat_template="templates/chat ml.jinja",
    ),
    "llamacpp-instances": make_deployment(type="llamacpp", port=8001),
    **ENGINES,
    "generic-list": make_deployment(command=["my-server", "--name", "tiny model", "--verbose"]),
    "generic-list-port": make_deployment(command=["my-server"], port=8001, health_path=None),
    "generic-text": make_deployment(command=LINE),
    "generic-text-port": make_deployment(command=LINE, port=8001, health_path="/ready"),
}
SEVERAL = replace(make_execution(), type="slurm", options=Node({"num_nodes": 4, "num_instances": 2}))
TWO_NODES = make_execution(type="slurm", num_nodes=2)
SCRIPTS = sorted(GOLDEN.glob("*.sh"))


@pytest.fixture(scope="module")
def recorders(tmp_path_factory: pytest.TempPathFactory) -> Recorders:
    folder = tmp_path_factory.mktemp("recorders")
    make_recorder(folder / "recorder")
    return Recorders(folder)


@pytest.mark.parametrize("name", CASES)
def test_script_is_as_committed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With SNAKEVAL_WRITE_GOLDEN in the environment the files are written anew, to be looked at before a commit."""
    monkeypatch.setattr(sys, "executable", "/venv/bin/python")
    execution = SEVERAL if name.endswith("-instances") else TWO_NODES if "two-nodes" in name else None
    python = Path("/environments") / CASES[name].options.get("environment", "llamacpp") / "bin" / "python"
    script = render_portably(monkeypatch, CASES[name], python, execution=execution)
    if os.environ.get("SNAKEVAL_WRITE_GOLDEN"):
        (GOLDEN / f"{name}.sh").write_text(script, encoding="utf-8")
    assert script == (GOLDEN / f"{name}.sh").read_text(encoding="utf-8")


def test_every_golden_file_is_compared() -> None:
    assert {path.stem for path in SCRIPTS} == set(CASES)


def test_shellcheck_is_content() -> None:
    plain = sorted((TEMPLATES / "launch" / "parts").glob("*.sh"))
    done = subprocess.run([SHELLCHECK, *SCRIPTS, *plain], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_own_health_path_goes_before_that_of_the_type() -> None:
    assert health_path(make_deployment(type="llamacpp")) == "/health"
    assert health_path(make_deployment(health_path="/ready")) == "/ready"
    assert health_path(make_deployment(health_path=None)) is None


@settings(max_examples=60)
@given(served=HOSTILE, checkpoint=HOSTILE, template=HOSTILE)
@example(served=WORST, checkpoint=WORST, template=WORST)
@example(served="--help", checkpoint="", template="-")
def test_values_reach_llamacpp_as_data(recorders: Recorders, served: str, checkpoint: str, template: str) -> None:
    deployment = make_deployment(
        type="llamacpp", served_model_name=served, checkpoint_path=checkpoint, chat_template=template
    )
    assert recorders.words(recorders.render(deployment), supervised=True) == [
        "/snakeval/scripts/snakeval/deployments/programs/llamacpp.py",
        f"--checkpoint={checkpoint}",
        f"--served-model-name={served}",
        "--host",
        "127.0.0.9",
        "--port",
        "4321",
        "--max-model-len",
        "2048",
        f"--chat-template={template}",
        "--max-num-seqs",
        "8",
    ]


@settings(max_examples=60)
@given(words=st.lists(HOSTILE, max_size=4))
@example(words=[WORST, "", "--", "-c"])
def test_words_of_a_list_reach_the_program_as_data(recorders: Recorders, words: list[str]) -> None:
    deployment = make_deployment(command=[str(recorders.folder / "recorder"), *words])
    assert recorders.words(recorders.render(deployment), supervised=True) == words


@settings(max_examples=60)
@given(name=HOSTILE, run=HOSTILE, health=HOSTILE)
@example(name=WORST, run=WORST, health=WORST)
@example(name="a\ntouch x\nb", run="\n", health="/\n")
def test_values_reach_the_supervisor_as_data(recorders: Recorders, name: str, run: str, health: str) -> None:
    folder = f"/results/demo/x{name}/server"
    deployment = make_deployment(name=name, port=8001, health_path=health)
    script = recorders.render(deployment, run, folder)
    header = script[: script.index("set -euo pipefail\n")]
    assert all(line.startswith("#") for line in header.removesuffix("\n").split("\n"))
    assert header.count("\n") == 6
    words = recorders.words(script, supervised=False)
    assert words == [
        "/snakeval/scripts/programs/supervise.py",
        "--folder",
        str(Path(folder)),
        "--server-id",
        PLACEMENT.server_id,
        "--host",
        "127.0.0.1",
        "--advertise",
        "127.0.0.1",
        "--port",
        "8001",
        "--health-path",
        health,
        "--idle-timeout-s",
        "600",
        "--max-restarts",
        "2",
        "--",
        "bash",
        str(Path(folder) / "launch.sh"),
    ]


@settings(max_examples=20)
@given(name=HOSTILE, health=HOSTILE)
@example(name=WORST, health=WORST)
def test_values_reach_the_front_of_several_instances_as_data(recorders: Recorders, name: str, health: str) -> None:
    folder = f"/results/demo/x{name}/server"
    deployment = make_deployment(name=name, health_path=health)
    script = recorders.render(deployment, folder=folder, execution=SEVERAL)
    assert "--health-path" not in recorders.words(script, supervised=False)
    assert recorders.words(script, supervised=True) == [
        "/snakeval/scripts/programs/instances.py",
        "--folder",
        str(Path(folder)),
        "--script",
        str(Path(folder) / "launch.sh"),
        "--supervisor",
        "/snakeval/scripts/programs/supervise.py",
        "--router-python",
        "/environments/router/bin/python",
        "--router",
        "/snakeval/scripts/snakeval/deployments/programs/router.py",
        "--instances",
        "2",
        "--nodes",
        "2",
        f"--health-path={health}",
        "--max-restarts",
        "2",
        "--readiness-timeout-s",
        "60",
    ]


@pytest.mark.parametrize("program", ["-c", "--", "-l", "a b", "$(touch x)", "a\nb", "模"])
def test_a_program_may_have_any_name(program: str, tmp_path: Path, recorders: Recorders) -> None:
    make_recorder(tmp_path / program)
    script = recorders.render(make_deployment(command=[program, "one"]))
    assert recorders.words(script, supervised=True, path=str(tmp_path)) == ["one"]


@pytest.mark.parametrize("line", [LINE, "-x", "--", "a\nb 'c' \"d\"", "$(true)"])
def test_a_text_reaches_bash_as_it_is(line: str, tmp_path: Path, recorders: Recorders) -> None:
    make_recorder(tmp_path / "bash")
    script = recorders.render(make_deployment(command=line))
    assert recorders.words(script, supervised=True, path=str(tmp_path)) == ["-c", "--", line]


def test_a_key_that_the_template_needs_is_missed() -> None:
    deployment = make_deployment(type="llamacpp")
    short = {name: value for name, value in deployment.options.items() if name != "max_model_len"}
    with pytest.MonkeyPatch.context() as patch, pytest.raises(UndefinedError, match="max_model_len"):
        render_portably(patch, replace(deployment, options=Node(short)), Path("/python"))


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("--requeue", "--requeue"),
        ("--constraint=h100&nvlink", "--constraint=h100&nvlink"),
        ("--output=/a b/#c.log", '--output="/a b/#c.log"'),
        ('--output=/say "hi"\\/log', '--output="/say \\"hi\\"\\\\/log"'),
    ],
)
def test_options_of_the_batch_system_are_quoted_as_it_reads_them(option: str, line: str) -> None:
    assert launch.batch_option(option) == line
