"""Tasks in the images of their harnesses: scripts as committed, what a container has, what is said when it fails."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import make_config, make_execution
from harness_cases import ENDPOINT, a_task
from launch_bench import FULL_RECORDER, RUNTIMES, SHELLCHECK, WORST
from snakeval.backends.slurm.step import Step
from snakeval.config.container_syntax import Mount
from snakeval.config.model import Config, Task
from snakeval.config.reading.tree import Node
from snakeval.deployments import launch
from snakeval.deployments.launch import render_task_script
from snakeval.errors import DeploymentError
from snakeval.evaluation.place import BEGAN, failed_start, place_of
from snakeval.harnesses import containers as task_containers
from snakeval.harnesses import harness_of
from snakeval.harnesses.around_task import AROUND
from snakeval.harnesses.base import HarnessCommand
from snakeval.harnesses.containers import container_of_task, require_container
from snakeval.harnesses.runner import RUNNERS
from snakeval.system.checkout import SCRIPTS

GOLDEN = Path(__file__).parents[2] / "fixtures" / "launch" / "containers"
IMAGE = "nvcr.io/nvidia/eval-factory/hle:26.03"
SECRET = "planted-secret-4711"
LABELS = {"run": "demo", "deployment": "tiny", "task": "hle.hle"}
STEP = ("--jobid=7", "--overlap", "--job-name=a")


def _task(**keys: Any) -> Task:
    settings = {"temperature": 0.0, **keys}
    made = a_task(harness="hle", **settings)
    return replace(made, name="hle.hle", task="hle", container=IMAGE, module="nemo-evaluator", env_vars={"A": "lit:1"})


def _config(runtime: str, root: Path = Path("/w"), mounts: Mapping[str, str] | None = None, **options: Any) -> Config:
    given = {"deployment": {"/not": "/for/tasks"}, "evaluation": mounts or {}, "mount_home": False}
    execution = make_execution(root / "results", container_runtime=runtime, mounts=given, container_args=[], **options)
    return replace(make_config(root / "results"), execution=execution)


def _command(task: Task, folder: Path, config: Config) -> HarnessCommand:
    return harness_of("nemo-evaluator").command(task, ENDPOINT, folder, Path(), config)


def _portable(script: str) -> str:
    return script.replace(str(SCRIPTS), "/snakeval/scripts")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_script_is_as_committed(runtime: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With SNAKEVAL_WRITE_GOLDEN in the environment the files are written anew, to be looked at before a commit."""
    monkeypatch.setattr(launch, "__version__", "1.2.3")
    config = _config(runtime, mounts={"/data/cache": "/cache"})
    argv = ["/bin/sh", str(RUNNERS / "in_image.sh"), "/w/hle.hle/harness/request.json"]
    data = Mount("/data/hle", "/datasets", read_only=True)
    command = HarnessCommand(argv, {"SNAKEVAL_ENDPOINT_KEY": SECRET}, Path("/datasets"), (data,), ("JUDGE_KEY",))
    step = STEP if runtime == "pyxis" else None
    container = container_of_task(config, _task(), command, Path("/w/hle.hle/harness"), step)
    script = _portable(render_task_script(LABELS, container, argv))
    file = GOLDEN / f"task-{runtime}.sh"
    if os.environ.get("SNAKEVAL_WRITE_GOLDEN"):
        file.write_text(script, encoding="utf-8")
    assert script == file.read_text(encoding="utf-8")
    assert SECRET not in script
    done = subprocess.run([SHELLCHECK, str(file)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_program_for_images_is_clean() -> None:
    done = subprocess.run([SHELLCHECK, str(RUNNERS / "in_image.sh")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_command_is_one_for_the_inside(tmp_path: Path) -> None:
    """Its data is where the container has it, and variables that hold keys are known by their names."""
    judge = {"api_key": "JUDGE_OF_MINE", "url": "http://j/v1", "model_id": "JUDGE"}
    adapter = {"headers_to_add": {"X-Own": "HEADER_OF_MINE", "X-Plain": "a text"}}
    task = _task(dataset_dir="data", dataset_mount_path="/elsewhere", extra={"judge": judge}, adapter_config=adapter)
    task = replace(task, harness="simple_evals", task="AIME_2025", env_vars={"JUDGE_API_KEY": "host:K"})
    command = _command(task, tmp_path, _config("podman"))
    assert command.argv == ["/bin/sh", f"{RUNNERS}/in_image.sh", f"{tmp_path}/request.json"]
    assert command.cwd == Path("/elsewhere")
    assert command.env["NEMO_EVALUATOR_DATASET_DIR"] == "/elsewhere"
    journal = str(tmp_path.parent / "journal.jsonl")
    data = Mount(str(Path("data").absolute()), "/elsewhere", read_only=True)
    assert command.mounts == (Mount(journal, journal, read_only=True), data)
    assert set(command.inherited) == {"JUDGE_API_KEY", "JUDGE_OF_MINE"}, "headers are the gateway's"
    assert not {"PATH", "PYTHONPATH"} & command.env.keys(), "the image has its own"
    request = json.loads((tmp_path / "request.json").read_text())
    assert (request["image"], request["package"]) == (IMAGE, "nvidia-simple-evals")
    plain = _command(
        replace(task, settings=Node({**task.settings, "dataset_mount_path": None})), tmp_path, _config("podman")
    )
    assert plain.env["NEMO_EVALUATOR_DATASET_DIR"] == "/datasets"
    shared = replace(_config("podman"), data_dir=tmp_path / "shared")
    command = _command(_task(), tmp_path, shared)
    assert command.mounts[1:] == (Mount(f"{tmp_path}/shared", f"{tmp_path}/shared", read_only=True),)
    assert command.cwd == tmp_path / "shared"
    assert _command(_task(), tmp_path, _config("podman")).cwd == tmp_path


def test_what_a_task_sees(tmp_path: Path) -> None:
    """Its work folder for writing, all else for reading; where its data's links lead; what is inside comes last."""
    (tmp_path / "store" / "hle").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "hle").symlink_to(tmp_path / "store" / "hle")
    work = tmp_path / "data" / "results" / "harness"
    config = replace(_config("podman", mounts={"/c": "/cache"}), data_dir=tmp_path / "data")
    container = container_of_task(config, _task(), _command(_task(), work, config), work, None)
    seen = {mount.source: mount.read_only for mount in container.mounts}
    assert seen == {
        str(tmp_path / "data"): True,
        str(tmp_path / "store"): True,
        str(RUNNERS): True,
        str(AROUND): True,
        "/c": False,
        str(work): False,
        str(work.parent / "journal.jsonl"): True,
    }
    targets = [mount.target for mount in container.mounts]
    assert targets.index(str(tmp_path / "data")) < targets.index(str(work))
    assert {"A", "SNAKEVAL_SERVER_ID", "SNAKEVAL_API_KEY", "https_proxy"} <= set(container.variables)


class Recorder:
    """A runtime that notes how it was called."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.record = folder / "record"
        (folder / "bin").mkdir()
        for name in ("podman", "apptainer", "srun"):
            (folder / "bin" / name).write_text(FULL_RECORDER, encoding="utf-8")
            (folder / "bin" / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
        monkeypatch.setenv("RECORD", str(self.record))

    @property
    def words(self) -> list[str]:
        """The words of the call."""
        return self.record.read_bytes().decode().split("\0")[:-1]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_values_stay_data_and_keys_out_of_sight(runtime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(tmp_path, monkeypatch)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    task = replace(_task(pre_cmd="true"), env_vars={"HOSTILE": "lit:"})
    work = tmp_path / "work"
    config = _config(runtime, tmp_path, type="slurm")
    command = _command(task, work, config)
    command = replace(command, argv=[*command.argv, WORST, "--", ""])
    place = place_of(config, "tiny", task, command, work, None)
    environ = {**os.environ, **command.env, "HOSTILE": WORST, **place.env}
    done = subprocess.run(
        place.argv, env=environ, pass_fds=place.inherited, capture_output=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert recorder.words[-9:] == ["bash", str(AROUND), str(work), *command.argv]
    assert command.argv[-3:] == [WORST, "--", ""]
    everything = " ".join([*place.argv, *recorder.words, (work / "container.sh").read_text()])
    assert str(ENDPOINT.api_key) not in everything
    assert place.env["SNAKEVAL_CONTAINER"] in everything or runtime != "podman"
    guard = launch.GUARD.read_text().removesuffix("\n")
    assert any(word.endswith(guard) for word in recorder.words)
    if runtime == "pyxis":
        assert "--jobid=7" in recorder.words
        assert place.step is not None


def test_beside_a_server_the_lifeline_is_the_input_of_the_step(tmp_path: Path) -> None:
    config, work = _config("podman", tmp_path, type="slurm"), tmp_path / "work"
    place = place_of(config, "tiny", _task(), _command(_task(), work, config), work, "12")
    assert place.argv[0] == "srun"
    assert place.argv[-3:] == ["--", "bash", str(work / "container.sh")]
    assert place.env["SNAKEVAL_LIFELINE"] == "0"
    assert (place.inherited, place.stdin >= 3) == ((), True)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SLURM_JOB_ID", raising=False)
        pyxis = place_of(
            _config("pyxis", tmp_path, type="slurm"), "tiny", _task(), _command(_task(), work, config), work, "12"
        )
        assert pyxis.argv == ["bash", str(work / "container.sh")]
        assert "srun --jobid=12 --overlap" in (work / "container.sh").read_text()
        with pytest.raises(DeploymentError, match="has to be in a Slurm job, and this is none"):
            place_of(
                _config("pyxis", tmp_path, type="slurm"), "tiny", _task(), _command(_task(), work, config), work, None
            )


def test_on_the_machine_itself_nothing_is_put_around_the_command(tmp_path: Path) -> None:
    task = replace(_task(), container="")
    command = HarnessCommand(["run", "it"], {}, tmp_path)
    place = place_of(_config("podman"), "tiny", task, command, tmp_path, None)
    assert (place.argv, place.cwd, place.env, place.inherited) == (["run", "it"], tmp_path, {}, ())
    place = place_of(_config("podman", type="slurm"), "tiny", task, command, tmp_path, "12")
    assert place.step is not None
    assert place.argv == place.step.command(["run", "it"])
    assert isinstance(place.step, Step)


@pytest.mark.parametrize(
    ("image", "said", "hint"),
    [
        (IMAGE, "Error: initializing source docker://nvcr.io/nvidia: unauthorized", "NGC API key"),
        ("my/image:1", "bash: exec: podman: not found", "podman has to be on PATH of the machine"),
        ("my/image:1", "Error: my/image:1: image not known", "container of the task names another one"),
    ],
)
def test_a_container_that_does_not_start(image: str, said: str, hint: str, tmp_path: Path) -> None:
    task = replace(_task(), container=image)
    error = failed_start(_config("podman"), task, tmp_path, 125, said)
    assert error is not None
    head = f"the container of task hle.hle did not start (image {image}): podman ended with exit status 125:\n{said}\n"
    assert str(error).startswith(head + "hint: ")
    assert hint in str(error)
    (tmp_path / BEGAN).touch()
    assert failed_start(_config("podman"), task, tmp_path, 125, said) is None, "the harness tells"
    assert failed_start(_config("podman"), replace(task, container=""), tmp_path / "x", 1, said) is None


def _findings(config: Config, task: Task) -> list[str]:
    try:
        require_container(config, task, lambda _: None)
    except DeploymentError as error:
        return [line.removeprefix("error: task hle.hle: ") for line in str(error).splitlines() if "error: " in line]
    return []


def test_what_a_container_needs_is_looked_at_before_a_server_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def is_there(image: str) -> bool:
        asked.append(image)
        return False

    monkeypatch.setattr(task_containers, "is_there", is_there)
    monkeypatch.setattr(task_containers, "pull_image", lambda image, say: f"no {image}")
    monkeypatch.setattr("snakeval.harnesses.containers.shutil.which", lambda name: None)
    config = _config("podman", tmp_path / "a:b", {"/no/such": "/c"}, type="local")
    assert _findings(config, _task(dataset_dir=str(tmp_path / "none"))) == [
        "execution.mounts.evaluation names what does not exist",
        "dataset_dir names what does not exist",
        "execution.output_dir cannot be mounted by podman",
        "execution.container_runtime is not installed",
    ]
    assert asked == []
    monkeypatch.setattr("snakeval.harnesses.containers.shutil.which", lambda name: name)
    with pytest.raises(DeploymentError, match=rf"podman cannot pull it:\nno {IMAGE}\nhint: "):
        require_container(_config("podman", tmp_path), _task(), lambda _: None)
    monkeypatch.setattr(task_containers, "pull_image", lambda image, say: None)
    assert _findings(_config("podman", tmp_path), _task()) == []
    asked.clear()
    on_slurm = _config("podman", tmp_path, type="slurm")
    assert _findings(on_slurm, _task()) == []
    assert _findings(on_slurm, replace(_task(), container=f"{tmp_path}/no.sif")) == [
        "container names what does not exist"
    ]
    assert _findings(_config("none", tmp_path), replace(_task(), container="")) == []
    assert asked == [], "on a cluster it is another machine that has the image"
