"""The launch script: as committed for each type, clean for shellcheck, and proof against hostile values."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from builders import make_deployment, make_execution
from engine_cases import ENGINES, LINE
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jinja2 import UndefinedError
from snakeval import launch
from snakeval.config.model import Deployment, Execution
from snakeval.files import write_text
from snakeval.launch import Placement, health_path, render_launch_script
from snakeval.paths import ServerPaths

GOLDEN = Path(__file__).parents[1] / "fixtures" / "launch"
SHELLCHECK = Path(sys.executable).with_name("shellcheck")
BASH = shutil.which("bash") or "/bin/bash"
ROUTER_PYTHON = Path("/environments/router/bin/python")
PLACEMENT = Placement(host="127.0.0.1", advertise="127.0.0.1", server_id="0123456789abcdef")
TEMPLATES = launch._templates()
# What a recorder is called with goes to $RECORD, each word ended by NUL, the one byte that no word can hold.
RECORDER = f'#!{BASH}\nfor word; do printf "%s\\0" "$word"; done >"$RECORD"\n'

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
SEVERAL = replace(make_execution(), type="slurm", options={"num_nodes": 4, "num_instances": 2})
TWO_NODES = make_execution(type="slurm", num_nodes=2)
SCRIPTS = sorted(GOLDEN.glob("*.sh"))


@dataclass(frozen=True)
class Recorders:
    """Programs that write down their arguments, in a folder without anything else."""

    folder: Path

    def render(
        self,
        deployment: Deployment,
        run: str = "demo",
        folder: str = "/results/demo/tiny/server",
        execution: Execution | None = None,
    ) -> str:
        """Render with recorders in place of all interpreters."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "executable", str(self.folder / "recorder"))
            return _render(patch, deployment, self.folder / "recorder", run, folder, execution)

    def words(self, script: str, supervised: bool, path: str | None = None) -> list[str]:
        """Run a script, as the supervisor does or as the backend does, and return what the recorder was given."""
        record = self.folder / "record"
        record.unlink(missing_ok=True)
        assert self.run(script, supervised, path) == b""
        assert sorted(one.name for one in self.folder.iterdir()) == ["launch.sh", "record", "recorder"]
        return record.read_bytes().decode().split("\0")[:-1]

    def run(self, script: str, supervised: bool, path: str | None = None) -> bytes:
        """Run a script, as the supervisor does or as the backend does, and return its output."""
        write_text(self.folder / "launch.sh", script)
        environment = {"PATH": path or os.environ["PATH"], "RECORD": str(self.folder / "record")}
        if supervised:
            environment |= {"SNAKEVAL_SUPERVISED": "1", "SNAKEVAL_HOST": "127.0.0.9", "SNAKEVAL_PORT": "4321"}
            environment |= {"SNAKEVAL_API_KEY": "k3y"}
        done = subprocess.run(
            [BASH, "launch.sh"], cwd=self.folder, env=environment, capture_output=True, timeout=30, check=False
        )
        assert (done.returncode, done.stderr) == (0, b"")
        return done.stdout


def _render(
    patch: pytest.MonkeyPatch,
    deployment: Deployment,
    interpreter: Path,
    run: str = "demo",
    folder: str = "/results/demo/tiny/server",
    execution: Execution | None = None,
) -> str:
    """Render without anything that depends on the machine or on the version."""
    patch.setattr(launch, "__version__", "1.2.3")
    patch.setattr(launch, "SCRIPTS", Path("/snakeval/scripts"))
    patch.setattr(launch, "_templates", lambda: TEMPLATES)
    patch.setattr(launch, "environment_python", lambda name: interpreter if "router" not in name else ROUTER_PYTHON)
    return render_launch_script(run, deployment, execution or make_execution(), ServerPaths(Path(folder)), PLACEMENT)


@pytest.fixture(scope="module")
def recorders(tmp_path_factory: pytest.TempPathFactory) -> Recorders:
    folder = tmp_path_factory.mktemp("recorders")
    _make_recorder(folder / "recorder")
    return Recorders(folder)


def _make_recorder(path: Path) -> None:
    path.write_text(RECORDER, encoding="utf-8")
    path.chmod(0o755)


@pytest.mark.parametrize("name", CASES)
def test_script_is_as_committed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With SNAKEVAL_WRITE_GOLDEN in the environment the files are written anew, to be looked at before a commit."""
    monkeypatch.setattr(sys, "executable", "/venv/bin/python")
    execution = SEVERAL if name.endswith("-instances") else TWO_NODES if "two-nodes" in name else None
    python = Path("/environments") / CASES[name].options.get("environment", "llamacpp") / "bin" / "python"
    script = _render(monkeypatch, CASES[name], python, execution=execution)
    if os.environ.get("SNAKEVAL_WRITE_GOLDEN"):
        (GOLDEN / f"{name}.sh").write_text(script, encoding="utf-8")
    assert script == (GOLDEN / f"{name}.sh").read_text(encoding="utf-8")


def test_every_golden_file_is_compared() -> None:
    assert {path.stem for path in SCRIPTS} == set(CASES)


def test_shellcheck_is_content() -> None:
    plain = sorted((Path(launch.__file__).parents[1] / "templates" / "launch").glob("*.sh"))
    done = subprocess.run([SHELLCHECK, *SCRIPTS, *plain], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_own_health_path_goes_before_that_of_the_type() -> None:
    assert health_path(make_deployment(type="llamacpp")) == "/health"
    assert health_path(make_deployment(health_path="/ready")) == "/ready"
    assert health_path(make_deployment(health_path=None)) is None


HOSTILE = st.lists(
    st.sampled_from([" ", "'", '"', "$(touch x)", "`touch x`", "$HOME", "\n", "\r", "\t", "\\", "#", "-", "--", ";"])
    | st.sampled_from(["{{ 1 }}", "{% raw %}", "*", "~", "!", "&", "é", "模", "\u2028", "\x85", "|", "\ntouch x\n"])
    | st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=4),
    max_size=5,
).map("".join)
WORST = "-x '\"; $(touch x) `touch x` \n touch x # \\\n模"


@settings(max_examples=60, deadline=None)
@given(served=HOSTILE, checkpoint=HOSTILE, template=HOSTILE)
@example(served=WORST, checkpoint=WORST, template=WORST)
@example(served="--help", checkpoint="", template="-")
def test_values_reach_llamacpp_as_data(recorders: Recorders, served: str, checkpoint: str, template: str) -> None:
    deployment = make_deployment(
        type="llamacpp", served_model_name=served, checkpoint_path=checkpoint, chat_template=template
    )
    assert recorders.words(recorders.render(deployment), supervised=True) == [
        "/snakeval/scripts/snakeval/servers/llamacpp.py",
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


@settings(max_examples=60, deadline=None)
@given(words=st.lists(HOSTILE, max_size=4))
@example(words=[WORST, "", "--", "-c"])
def test_words_of_a_list_reach_the_program_as_data(recorders: Recorders, words: list[str]) -> None:
    deployment = make_deployment(command=[str(recorders.folder / "recorder"), *words])
    assert recorders.words(recorders.render(deployment), supervised=True) == words


@settings(max_examples=60, deadline=None)
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
        "/snakeval/scripts/supervise.py",
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


@settings(max_examples=20, deadline=None)
@given(name=HOSTILE, health=HOSTILE)
@example(name=WORST, health=WORST)
def test_values_reach_the_front_of_several_instances_as_data(recorders: Recorders, name: str, health: str) -> None:
    folder = f"/results/demo/x{name}/server"
    deployment = make_deployment(name=name, health_path=health)
    script = recorders.render(deployment, folder=folder, execution=SEVERAL)
    assert "--health-path" not in recorders.words(script, supervised=False)
    assert recorders.words(script, supervised=True) == [
        "/snakeval/scripts/instances.py",
        "--folder",
        str(Path(folder)),
        "--script",
        str(Path(folder) / "launch.sh"),
        "--supervisor",
        "/snakeval/scripts/supervise.py",
        "--router-python",
        "/environments/router/bin/python",
        "--router",
        "/snakeval/scripts/snakeval/servers/router.py",
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
    _make_recorder(tmp_path / program)
    script = recorders.render(make_deployment(command=[program, "one"]))
    assert recorders.words(script, supervised=True, path=str(tmp_path)) == ["one"]


@pytest.mark.parametrize("line", [LINE, "-x", "--", "a\nb 'c' \"d\"", "$(true)"])
def test_a_text_reaches_bash_as_it_is(line: str, tmp_path: Path, recorders: Recorders) -> None:
    _make_recorder(tmp_path / "bash")
    script = recorders.render(make_deployment(command=line))
    assert recorders.words(script, supervised=True, path=str(tmp_path)) == ["-c", "--", line]


def test_a_key_that_the_template_needs_is_missed() -> None:
    deployment = make_deployment(type="llamacpp")
    short = {name: value for name, value in deployment.options.items() if name != "max_model_len"}
    with pytest.MonkeyPatch.context() as patch, pytest.raises(UndefinedError, match="max_model_len"):
        _render(patch, replace(deployment, options=short), Path("/python"))


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
