"""The servers of the known engines: hostile values arrive as data, and keys stay hidden."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import make_deployment, make_execution
from engine_cases import ENGINES
from engine_spies import Spies, spies_in
from hypothesis import example, given, settings
from hypothesis import strategies as st
from launch_bench import BASH, HOSTILE, SHELLCHECK, WORST, Recorders, make_recorder
from snakeval.config.model import Deployment
from snakeval.deployments import launch
from snakeval.deployments.launch import Placement, render_launch_script
from snakeval.deployments.programs import sglang_launcher
from snakeval.run.paths import ServerPaths
from snakeval.system.files import write_text

ANY = st.one_of(HOSTILE, st.just(WORST))


@pytest.fixture
def spies(tmp_path: Path) -> Iterator[Spies]:
    with spies_in(tmp_path) as found:
        yield found


@pytest.fixture(scope="module")
def recorders(tmp_path_factory: pytest.TempPathFactory) -> Recorders:
    folder = tmp_path_factory.mktemp("recorders")
    make_recorder(folder / "recorder")
    return Recorders(folder)


def _words(recorders: Recorders, deployment: Deployment, program: str) -> list[str]:
    """Return what `program` is called with when the server starts."""
    link = recorders.folder.parent / "programs" / program
    link.parent.mkdir(exist_ok=True)
    if not link.exists():
        link.symlink_to(recorders.folder / "recorder")
    return recorders.words(recorders.render(deployment), supervised=True, path=f"{link.parent}:{os.environ['PATH']}")


@settings(max_examples=40)
@given(served=ANY, checkpoint=ANY, revision=ANY, quantization=ANY, words=st.lists(ANY, max_size=3))
@example(served="--help", checkpoint="-x", revision="", quantization="", words=["", "--", "-c"])
def test_values_reach_vllm_as_data(
    recorders: Recorders,
    served: str,
    checkpoint: str,
    revision: str,
    quantization: str,
    words: list[str],
) -> None:
    deployment = make_deployment(
        type="vllm",
        served_model_name=served,
        checkpoint_path=f"/models/{checkpoint}",
        revision=revision,
        quantization=quantization,
        extra_args=words,
    )
    assert _words(recorders, deployment, "vllm") == [
        "serve",
        str(Path(f"/models/{checkpoint}")),
        f"--revision={revision}",
        f"--served-model-name={served}",
        "--host=127.0.0.9",
        "--port=4321",
        "--tensor-parallel-size=1",
        "--pipeline-parallel-size=1",
        "--data-parallel-size=1",
        "--dtype=auto",
        "--enable-tokenizer-info-endpoint",
        f"--quantization={quantization}",
        *words,
    ]


@settings(max_examples=40)
@given(served=ANY, checkpoint=ANY, words=st.lists(ANY, max_size=3))
@example(served="--help", checkpoint="-x", words=["", "--", "-c"])
def test_values_reach_sglang_and_trtllm_as_data(
    recorders: Recorders,
    served: str,
    checkpoint: str,
    words: list[str],
) -> None:
    path = str(Path(f"/models/{checkpoint}"))
    keys: dict[str, Any] = {"served_model_name": served, "checkpoint_path": path, "extra_args": words}
    found = _words(recorders, make_deployment(type="sglang", **keys), "python3")
    assert found[:2] == ["-c", (launch.SERVERS / "sglang_launcher.py").read_text(encoding="utf-8")]
    assert found[2:4] == [f"--model-path={path}", f"--served-model-name={served}"]
    assert found[len(found) - len(words) :] == words
    found = _words(recorders, make_deployment(type="trtllm", **keys), "mpirun")
    assert found[4:7] == ["trtllm-serve", "serve", path]
    assert found[len(found) - len(words) :] == words
    if served != Path(path).name:
        assert f"--served_model_name={served}" in found


@settings(max_examples=40)
@given(served=ANY, checkpoint=ANY, profile=ANY)
def test_values_reach_a_nim_as_data(
    recorders: Recorders,
    served: str,
    checkpoint: str,
    profile: str,
) -> None:
    deployment = make_deployment(
        type="nim",
        served_model_name=served,
        checkpoint_path=f"/models/{checkpoint}",
        model_profile=profile,
        extra_args=["--x"],
        # env shows what the server finds; the recorder, that it is called.
        command=["env", "-0"],
    )
    output = recorders.run(recorders.render(deployment), supervised=True)
    found = dict(line.split("=", 1) for line in output.decode().split("\0") if "=" in line)
    assert found["NIM_SERVER_PORT"] == "4321"
    assert found["NIM_SERVED_MODEL_NAME"] == served
    assert found["NIM_MODEL_PATH"] == str(Path(f"/models/{checkpoint}"))
    assert found["NIM_MODEL_PROFILE"] == profile


@settings(max_examples=40)
@given(words=st.lists(ANY, min_size=1, max_size=3))
def test_pre_cmd_runs_in_the_shell_of_the_server_and_leaves_its_words_alone(
    recorders: Recorders,
    words: list[str],
) -> None:
    deployment = make_deployment(
        type="vllm", command=[str(recorders.folder / "recorder"), *words], pre_cmd='RECORD="$RECORD"  # a comment'
    )
    assert recorders.words(recorders.render(deployment), supervised=True) == words


def test_the_server_finds_what_pre_cmd_exports_and_does_not_start_when_it_fails(spies: Spies) -> None:
    spies.program("vllm", 'echo "$1 $GREETING" >"$RECORDS/vllm"')
    done = spies.run(make_deployment(type="vllm", pre_cmd="export GREETING=hello"))
    assert (done.returncode, spies.recorded("vllm")) == (0, ["serve hello"])
    done = spies.run(make_deployment(type="vllm", pre_cmd="echo no licence >&2\nfalse\nexport GREETING=again"))
    assert (done.returncode, done.stderr, spies.recorded("vllm")) == (1, "no licence\n", ["serve hello"])


def test_the_key_reaches_vllm_by_its_environment_alone(spies: Spies) -> None:
    spies.program("vllm", 'echo "$VLLM_API_KEY $*" >"$RECORDS/vllm"')
    assert spies.run(make_deployment(type="vllm")).returncode == 0
    (line,) = spies.recorded("vllm")
    assert line.startswith("k3y serve /models/tiny")
    assert line.count("k3y") == 1


def test_a_command_in_the_environment_is_found_first(spies: Spies, monkeypatch: pytest.MonkeyPatch) -> None:
    own = spies.folder / "environment" / "bin"
    own.mkdir(parents=True)
    monkeypatch.setattr(launch, "environment_python", lambda _: own / "python")
    spies.program("vllm", "exit 1")
    write_text(own / "vllm", f"#!{BASH}\nexit 0\n", mode=0o755)
    assert spies.run(make_deployment(type="vllm", runtime="environment", environment="vllm-cpu")).returncode == 0
    assert spies.run(make_deployment(type="vllm", runtime="host")).returncode == 1


@pytest.fixture
def log_records() -> Any:
    """Undo what the launcher does to the log of its process."""
    before = logging.getLogRecordFactory()
    yield
    logging.setLogRecordFactory(before)


def test_sglangs_key_is_an_argument_within_the_process_and_hidden_in_its_log(
    log_records: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    (tmp_path / "sglang").mkdir()
    (tmp_path / "sglang" / "__init__.py").touch()
    code = "import logging, sys\nlogging.warning(f'server_args={sys.argv}')\n"
    (tmp_path / "sglang" / "launch_server.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "argv", ["-c", "--port=1"])
    monkeypatch.setenv("SNAKEVAL_API_KEY", "s3cret")
    sglang_launcher.main()
    assert sys.argv == ["-c", "--port=1", "--api-key", "s3cret"]
    assert caplog.records[0].getMessage() == "server_args=['-c', '--port=1', '--api-key', '***']"
    make = logging.getLogRecordFactory()
    assert make("n", 30, "p", 1, "%s asks", ("s3cret",), None).getMessage() == "*** asks"
    assert make("n", 30, "p", 1, "a wrong %d", ("s3cret",), None).args == ("s3cret",), "left to the handler"
    monkeypatch.setattr(sys, "argv", ["-c"])
    monkeypatch.delenv("SNAKEVAL_API_KEY")
    sglang_launcher.main()
    assert sys.argv == ["-c"]


def _on_local(deployment: Deployment) -> str:
    placement = Placement(host="127.0.0.1", advertise="127.0.0.1", server_id="1")
    return render_launch_script("demo", deployment, make_execution(), ServerPaths(Path("/demo/tiny/server")), placement)


def _on_slurm(deployment: Deployment, num_nodes: int = 1, num_instances: int = 1) -> str:
    placement = Placement("auto", "auto", "2", ("--job-name=x", "--time=01:00:00"), ("--warn-before-s", "60"))
    execution = make_execution(type="slurm", num_nodes=num_nodes, num_instances=num_instances)
    return render_launch_script("demo", deployment, execution, ServerPaths(Path("/demo/tiny/server")), placement)


def test_shellcheck_is_content_with_every_type_on_every_backend(tmp_path: Path) -> None:
    for name, one in ENGINES.items():
        (tmp_path / f"{name}-local.sh").write_text(_on_local(one), encoding="utf-8")
        nodes = 4 if "two-nodes" in name else 1
        (tmp_path / f"{name}-slurm.sh").write_text(_on_slurm(one, nodes, max(1, nodes // 2)), encoding="utf-8")
    done = subprocess.run([SHELLCHECK, *tmp_path.iterdir()], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
