"""Launch scripts of servers in containers: as committed, clean for shellcheck, and proof against hostile values."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import make_deployment, make_execution
from engine_cases import ENGINES
from hypothesis import example, given, settings
from hypothesis import strategies as st
from launch_bench import BASH, FULL_RECORDER, HOSTILE, RUNTIMES, SHELLCHECK, TEMPLATES, WORST
from snakeval.config.container_syntax import SPECIAL, is_pinned, spelled_for, unmountable
from snakeval.config.model import Deployment, Execution
from snakeval.config.reading.tree import Node
from snakeval.deployments import launch
from snakeval.deployments.containers import container_of, container_runtime, failure_hint
from snakeval.deployments.launch import Placement, render_launch_script
from snakeval.run.paths import ServerPaths
from snakeval.system import checkout
from snakeval.system.checkout import SCRIPTS

GOLDEN = Path(__file__).parents[2] / "fixtures" / "launch" / "containers"
BACKENDS = {
    "local": Placement("127.0.0.1", "127.0.0.1", "0123456789abcdef"),
    "slurm": Placement("auto", "auto", "0123456789abcdef", ("--job-name=a", "--nodes=1")),
}
GENERIC = make_deployment(
    command=["my-server", "--verbose"], runtime="container", image="nvcr.io/nvidia/server:1.2", env_vars={"A": "lit:1"}
)


def _execution(runtime: str, mount_home: bool = False, mounts: Mapping[str, str] | None = None, **more: Any) -> Any:
    chosen = {"deployment": {"/data/cache": "/cache", "/data/t": "/t:ro"} if mounts is None else mounts}
    options = {"container_args": [], **more, "mounts": {**chosen, "mount_home": mount_home}}
    return make_execution(container_runtime=runtime, **options)


def _render(deployment: Deployment, execution: Execution, backend: str = "local") -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", "/venv/bin/python")
        patch.setattr(launch, "__version__", "1.2.3")
        patch.setattr(launch, "_templates", lambda: TEMPLATES)
        execution = replace(execution, type=backend)
        return render_launch_script(
            "demo", deployment, execution, ServerPaths(Path("/r/tiny/server")), BACKENDS[backend]
        )


def _portable(script: str) -> str:
    return script.replace(str(SCRIPTS), "/snakeval/scripts")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_script_is_as_committed(runtime: str) -> None:
    """With SNAKEVAL_WRITE_GOLDEN in the environment the files are written anew, to be looked at before a commit."""
    script = _portable(_render(GENERIC, _execution(runtime, container_args=["--an-option", "of mine"])))
    file = GOLDEN / f"generic-{runtime}.sh"
    if os.environ.get("SNAKEVAL_WRITE_GOLDEN"):
        file.write_text(script, encoding="utf-8")
    assert script == file.read_text(encoding="utf-8")


def test_shellcheck_is_content(tmp_path: Path) -> None:
    """For every type that can run in a container, backend and runtime."""
    cases = {"generic": GENERIC, **{name: ENGINES[name] for name in ("vllm", "sglang", "trtllm", "nim-1", "nim-2")}}
    files = []
    for name, deployment in cases.items():
        for runtime in RUNTIMES:
            for backend in BACKENDS:
                inside = replace(deployment, options=Node({**deployment.options, "runtime": "container"}))
                file = tmp_path / f"{name}-{runtime}-{backend}.sh"
                file.write_text(_render(inside, _execution(runtime, runtime == "podman"), backend), encoding="utf-8")
                files.append(file)
    done = subprocess.run([SHELLCHECK, *files], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_several_nodes_have_containers_of_their_own() -> None:
    two = ENGINES["vllm-two-nodes"]
    execution = _execution("podman", num_nodes=2)
    script = _render(replace(two, options=Node({**two.options, "runtime": "container"})), execution, "slurm")
    assert 'name+="-$node"' in script
    assert "name+=" not in _render(GENERIC, _execution("podman"))


def test_a_server_of_the_host_has_no_container() -> None:
    on_host = make_deployment(command=["my-server"], runtime="host", image=None)
    for deployment, runtime in ((on_host, "podman"), (GENERIC, "none")):
        assert container_runtime(deployment, _execution(runtime)) is None
        assert _render(deployment, _execution(runtime)).endswith('\nexec -- "${server[@]}"\n')


def test_the_same_command_in_every_container() -> None:
    """What the types make is the same text on the host, whatever is put around it."""
    vllm = ENGINES["vllm-everything"]
    host = _render(replace(vllm, options=Node({**vllm.options, "runtime": "host"})), _execution("none"))
    command = re.search(r"^server=\(.*?^\)$", host, re.MULTILINE | re.DOTALL)
    assert command
    for runtime in RUNTIMES:
        inside = replace(vllm, options=Node({**vllm.options, "runtime": "container"}))
        assert command[0] in _render(inside, _execution(runtime)), runtime


class Recorder:
    """Runs scripts with a recorder in the place of a runtime."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir()
        for name in ("podman", "apptainer", "srun"):
            (folder / "bin" / name).write_text(FULL_RECORDER, encoding="utf-8")
            (folder / "bin" / name).chmod(0o755)

    def run(self, script: str, **environ: str) -> tuple[list[str], dict[str, str]]:
        """Return the words and the environment that the runtime was called with."""
        (self.folder / "launch.sh").write_text(script, encoding="utf-8")
        (self.folder / "work").mkdir(exist_ok=True)
        record = self.folder / "record"
        environment = {"PATH": f"{self.folder}/bin:{os.environ['PATH']}", "RECORD": str(record), "HOME": "/home/me"}
        environment |= {"SNAKEVAL_SUPERVISED": "1", "SNAKEVAL_HOST": "127.0.0.9", "SNAKEVAL_PORT": "4321"}
        environment |= {
            "SNAKEVAL_API_KEY": "k3y",
            "SNAKEVAL_CONTAINER": "snakeval-id",
            "SLURMD_NODENAME": "n1",
            **environ,
        }
        reading, writing = os.pipe()
        done = subprocess.run(
            [BASH, "../launch.sh"],
            cwd=self.folder / "work",
            env={**environment, "SNAKEVAL_LIFELINE": str(reading)},
            pass_fds=(reading,),
            capture_output=True,
            timeout=30,
            check=False,
        )
        os.close(reading)
        os.close(writing)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        assert list((self.folder / "work").iterdir()) == []
        split = {name: Path(f"{record}{name}").read_bytes().decode().split("\0")[:-1] for name in ("", ".env")}
        return split[""], dict(line.split("=", 1) for line in split[".env"])


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Recorder:
    return Recorder(tmp_path_factory.mktemp("recorder"))


@settings(max_examples=15)
@given(words=st.lists(HOSTILE, min_size=1, max_size=3), variable=HOSTILE, argument=HOSTILE, folder=HOSTILE)
@example(words=[WORST, "", "--", "-c"], variable=WORST, argument=WORST, folder="'$(touch x)' {a,b} *")
def test_values_stay_data(recorder: Recorder, words: list[str], variable: str, argument: str, folder: str) -> None:
    guard = (checkout.TEMPLATES / "launch" / "container" / "guard.sh").read_text().removesuffix("\n")
    for runtime in RUNTIMES:
        source = "/data/x" + "".join(one for one in folder if not unmountable(runtime, one) and one != "/")
        deployment = replace(
            GENERIC,
            options=Node({**GENERIC.options, "command": ["my-server", *words], "checkpoint_path": source}),
            env_vars={"HOSTILE": "lit:"},
        )
        execution = _execution(runtime, mounts={}, container_args=[f"--x={argument}"])
        called, environment = recorder.run(_render(deployment, execution), HOSTILE=variable, OUTSIDE="1")
        assert called[-len(words) - 1 :] == ["my-server", *words], runtime
        assert f"--x={argument}" in called
        mounted = {
            "podman": f"--volume={source}:{source}:ro",
            "apptainer": f"--bind={source}:{source}:ro",
            "pyxis": f"--container-mounts={source}:{source}:ro",
        }
        assert mounted[runtime] in called
        if runtime != "pyxis":
            assert guard in called
        if runtime == "podman":
            assert "--env=HOSTILE" in called
        elif runtime == "apptainer":
            assert environment["APPTAINERENV_HOSTILE"] == variable
            assert "APPTAINERENV_OUTSIDE" not in environment
        else:
            names = next(word for word in called if word.startswith("--container-env="))
            assert "HOSTILE" in re.split("[=,]", names)
        assert environment["HOSTILE"] == variable
        assert "k3y" not in " ".join(called)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_a_template_exports_is_handed_over(runtime: str, recorder: Recorder) -> None:
    """NIM is told its port by its environment alone."""
    nim = ENGINES["nim-2"]
    called, environment = recorder.run(_render(nim, _execution(runtime)), OUTSIDE="1", NIM_SERVER_PORT="9")
    words = " ".join(called)
    if runtime == "apptainer":
        assert environment["APPTAINERENV_NIM_SERVER_PORT"] == "4321"
    else:
        assert re.search(r"--(env=|container-env=\S*)NIM_SERVER_PORT", words)
        assert environment["NIM_SERVER_PORT"] == "4321"
    assert "OUTSIDE" not in words


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ["--device=nvidia.com/gpu=all"]),
        ({"CUDA_VISIBLE_DEVICES": "1"}, ["--device=nvidia.com/gpu=1"]),
        (
            {"CUDA_VISIBLE_DEVICES": "0,1", "SLURM_JOB_GPUS": "2,3"},
            ["--device=nvidia.com/gpu=2", "--device=nvidia.com/gpu=3"],
        ),
    ],
)
def test_gpus_that_podman_is_given(
    given: dict[str, str], expected: list[str], recorder: Recorder, tmp_path: Path
) -> None:
    (tmp_path / "nvidiactl").touch()
    script = _render(GENERIC, _execution("podman"))
    assert not [word for word in recorder.run(script, **given)[0] if word.startswith("--device")]
    called, _ = recorder.run(script.replace("/dev/nvidiactl", str(tmp_path / "nvidiactl")), **given)
    assert [word for word in called if word.startswith("--device")] == expected
    assert "--env=CUDA_VISIBLE_DEVICES" not in called, "the container counts its GPUs from 0"


def test_the_home_folder_is_there_where_it_was_asked_for(recorder: Recorder) -> None:
    said = {"podman": "--volume=/home/me:/home/me", "pyxis": "--container-mount-home"}
    for runtime, word in said.items():
        assert word in recorder.run(_render(GENERIC, _execution(runtime, mount_home=True)))[0]
        assert word not in recorder.run(_render(GENERIC, _execution(runtime)))[0]
    assert "--no-home" in recorder.run(_render(GENERIC, _execution("apptainer")))[0]
    assert "--no-home" not in recorder.run(_render(GENERIC, _execution("apptainer", mount_home=True)))[0]


DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("image", "apptainer", "pyxis"),
    [
        ("vllm/vllm-openai:v1", "docker://vllm/vllm-openai:v1", "vllm/vllm-openai:v1"),
        ("nvcr.io/nim/a:1.2", "docker://nvcr.io/nim/a:1.2", "nvcr.io#nim/a:1.2"),
        ("localhost:5000/a:1", "docker://localhost:5000/a:1", "localhost:5000#a:1"),
        (f"h.io/a/b:1@{DIGEST}", f"docker://h.io/a/b@{DIGEST}", f"h.io#a/b:{DIGEST}"),
        ("/images/a.sif", "/images/a.sif", "/images/a.sif"),
    ],
)
def test_images_as_each_runtime_spells_them(image: str, apptainer: str, pyxis: str) -> None:
    assert spelled_for("podman", image) == image
    assert spelled_for("apptainer", image) == apptainer
    assert spelled_for("pyxis", image) == pyxis


@pytest.mark.parametrize(
    ("image", "pinned"),
    [("a:1", True), ("a", False), ("a:latest", False), ("h:5000/a", False), (f"a@{DIGEST}", True), ("/a.sif", True)],
)
def test_images_of_one_version(image: str, pinned: bool) -> None:
    assert is_pinned(image) is pinned


def test_paths_that_a_runtime_cannot_write() -> None:
    assert unmountable("podman", "/a b'c\"$d") == []
    assert unmountable("podman", "/a:b\n") == ["\n", ":"]
    assert unmountable("pyxis", "/a b,$c") == [" ", "$", ","]
    assert all(":" in special for special in SPECIAL.values())


def test_links_of_a_checkpoint_are_followed(tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshots" / "1"
    (snapshot / "sub").mkdir(parents=True)
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "b").symlink_to(tmp_path / "store" / "b")
    (snapshot / "sub" / "model").symlink_to("../../../blobs/b")
    (snapshot / "inner").symlink_to("sub/model")
    (snapshot / "loop").symlink_to("loop")
    deployment = replace(GENERIC, options=Node({**GENERIC.options, "checkpoint_path": str(snapshot)}))
    container = container_of(deployment, _execution("podman", mounts={}))
    assert container
    assert [one.source for one in container.mounts] == [
        str(snapshot),
        str(tmp_path / "blobs"),
        str(tmp_path / "store"),
    ]
    assert all(one.read_only and one.source == one.target for one in container.mounts)


def test_files_and_folders_that_options_name_are_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    nim = ENGINES["nim-2"]
    nim = replace(nim, options=Node({**nim.options, "cache_path": "cache"}))
    container = container_of(nim, _execution("podman", mounts={}))
    assert container
    assert [(one.source, one.target, one.read_only) for one in container.mounts] == [
        (str(tmp_path / "cache"), "/opt/nim/.cache", False)
    ]


@pytest.mark.parametrize(
    ("image", "log", "said"),
    [
        ("nvcr.io/nim/a:1", "Error: initializing source docker://nvcr.io/nim/a:1: unauthorized", "NGC API key"),
        ("nvcr.io/nim/a:1", "pyxis: [ERROR] URL https://nvcr.io/proxy_auth returned error code: 401", "NGC API key"),
        ("nvcr.io/nim/a:1", "CUDA out of memory", None),
        ("a:1", "launch.sh: line 30: exec: podman: not found", "podman has to be on PATH"),
        ("a:1", "srun: unrecognized option '--container-image=a:1'", "no pyxis"),
        ("a:1", 'exec: "/bin/sh": stat /bin/sh: no such file or directory', "/bin/sh"),
        ("a:1", "Error: a:1: image not known", None),
    ],
)
def test_hints(image: str, log: str, said: str | None) -> None:
    deployment = replace(GENERIC, options=Node({**GENERIC.options, "image": image}))
    hint = failure_hint(deployment, _execution("podman"), log)
    assert said in hint if said and hint else hint is None and said is None
    assert failure_hint(deployment, _execution("none"), log) is None
