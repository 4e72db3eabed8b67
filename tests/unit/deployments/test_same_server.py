"""One configuration starts the same server on every backend: what is really called there, and with which environment.

The scripts are those of the backends themselves, run with a recorder in the place of `exec`.
"""

import os
import shlex
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakeval.backends.lepton.backend import LeptonBackend
from snakeval.backends.lepton.spec import endpoint_spec
from snakeval.backends.local import LocalBackend
from snakeval.backends.slurm.backend import SlurmBackend
from snakeval.config import Config, load_config
from snakeval.config.model import Deployment
from snakeval.deployments import launch
from snakeval.deployments.types import deployment_type
from snakeval.system.checkout import SCHEMAS, SCRIPTS
from workspace import REPOSITORY

FIXTURES = Path(__file__).parents[2] / "fixtures" / "launch"
CONFIG = FIXTURES / "all-types.yaml"
GOLDEN = FIXTURES / "all-types.txt"
BASH = shutil.which("bash") or "/bin/bash"
NAMES = [entry["name"] for entry in yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["deployments"]]
EXECUTIONS: dict[str, dict[str, Any]] = {
    "local": {"container_runtime": "podman"},
    "slurm": {"container_runtime": "pyxis", "gres": "gpu:8"},
    "lepton": {"image": "registry.example/base:1.0", "resource_shape": "gpu.8xh200"},
}
# Called in the place of the server, or of what makes its container: writes its words and its environment.
RECORDER = '() { shift; printf "%s\\0" "$@"; printf "\\0"; command env -0; }'
# The address is the backend's affair; here it is the same one, and the key is empty, as it is behind a platform.
HANDED_OVER = {"SNAKEVAL_HOST": "0.0.0.0", "SNAKEVAL_PORT": "8000", "SNAKEVAL_API_KEY": ""}
SUPERVISED = {"SNAKEVAL_SUPERVISED": "1", "SNAKEVAL_CONTAINER": "c", "SNAKEVAL_LIFELINE": "0", "SLURMD_NODENAME": "n1"}
OF_BASH = {"PWD", "OLDPWD", "SHLVL", "_", "BASH_FUNC_exec%%", *HANDED_OVER, *SUPERVISED}
PATH = os.environ["PATH"]

Call = tuple[list[str], dict[str, str]]


@cache
def _config(backend: str) -> Config:
    execution = {"type": backend, **EXECUTIONS[backend]}
    return load_config([CONFIG], {"execution": execution}, REPOSITORY, {}, check_environ=False)


def _deployment(backend: str, name: str) -> Deployment:
    return next(one for one in _config(backend).deployments if one.name == name)


def _local(deployment: Deployment) -> Call:
    config = _config("local")
    script = LocalBackend(config)._script(deployment, launch.Placement("127.0.0.1", "127.0.0.1", "1"))
    words, environment = _called(script, HANDED_OVER | SUPERVISED)
    if deployment.options.get("runtime") != "container":
        return words, environment
    assert words[:2] == ["podman", "run"]
    names = {word.removeprefix("--env=") for word in words if word.startswith("--env=")}
    return words[words.index("guard") + 1 :], _only(environment, names)


def _slurm(deployment: Deployment) -> Call:
    script = SlurmBackend(_config("slurm"))._script(deployment, "1")
    words, environment = _called(script, HANDED_OVER | SUPERVISED)
    if deployment.options.get("runtime") != "container":
        return words, environment
    assert words[0] == "srun"
    (names,) = (word.partition("=")[2] for word in words if word.startswith("--container-env="))
    return words[words.index("--") + 1 :], _only(environment, set(names.split(",")))


def _lepton(deployment: Deployment) -> Call:
    execution = _config("lepton").execution
    script = LeptonBackend(_config("lepton"))._script(deployment)
    container = endpoint_spec(deployment, execution, script, "token")["container"]
    shell, option, text = container["command"]
    assert (shell, option) == ("/bin/bash", "-c")
    assert container["image"] == (deployment.options.get("image") or EXECUTIONS["lepton"]["image"])
    return _called(text, {})


BACKENDS = {"local": _local, "slurm": _slurm, "lepton": _lepton}


def _called(script: str, environ: dict[str, str]) -> Call:
    """Return words and own variables of what a script becomes in the end."""
    environ = {**environ, "PATH": PATH, "BASH_FUNC_exec%%": RECORDER}
    done = subprocess.run([BASH, "-c", script], env=environ, capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    words, _, variables = done.stdout.decode().partition("\0\0")
    found = dict(line.split("=", 1) for line in variables.split("\0")[:-1])
    assert found.items() >= HANDED_OVER.items()
    return words.split("\0"), {name: value for name, value in found.items() if environ.get(name) != value}


def _only(environment: dict[str, str], names: set[str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name in names}


def _shown(call: Call) -> str:
    """Return a call as the golden file has it: a variable or a word a line, without paths of this machine."""
    words, environment = call
    lines = [f"{name}={value}" for name, value in sorted(environment.items()) if name not in OF_BASH]
    launcher = (launch.SERVERS / "sglang_launcher.py").read_text(encoding="utf-8")
    shown = ["(the text of sglang_launcher.py)" if word == launcher else shlex.quote(word) for word in words]
    return "\n".join([*lines, *shown]).replace(str(SCRIPTS), "/snakeval/scripts").replace(PATH, "$PATH")


@pytest.fixture(scope="module", autouse=True)
def _one_environment() -> Any:
    """A family's environment has the same name whatever its lock says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "environment_name", lambda lock: lock.stem)
        patch.setattr(launch, "environment_python", lambda name: Path("/environments") / name / "bin" / "python")
        yield


@cache
def _golden() -> dict[str, str]:
    parts = GOLDEN.read_text(encoding="utf-8").removesuffix("\n").split("\n\n== ")
    return dict(part.split("\n", 1) for part in parts[1:])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_same_server_is_started_everywhere(backend: str, name: str) -> None:
    deployment = _deployment(backend, name)
    assert _shown(BACKENDS[backend](deployment)) == _golden()[name]


def test_every_type_with_a_server_is_compared_and_nothing_else() -> None:
    """With SNAKEVAL_WRITE_GOLDEN in the environment the file is written anew, to be looked at before a commit."""
    if os.environ.get("SNAKEVAL_WRITE_GOLDEN"):
        calls = [f"\n== {name}\n{_shown(_local(_deployment('local', name)))}\n" for name in NAMES]
        GOLDEN.write_text("The servers of all-types.yaml: variables, then words.\n" + "".join(calls), encoding="utf-8")
    assert list(_golden()) == NAMES
    types = {path.name.partition(".")[0] for path in (SCHEMAS / "deployment").glob("*.schema.yaml")} - {"common"}
    # A type that was added has a test of its own instead.
    added = {path.name for path in Path(__file__).parent.glob("test_*_type.py")}
    assert {_deployment("local", name).type for name in NAMES} == {
        one for one in types if deployment_type(one).has_server and f"test_{one}_type.py" not in added
    }
