"""Harness module `nemo-evaluator`: NVIDIA's harnesses through the core of NeMo Evaluator, by snakeval_runners.nemo."""

import os
import re
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from snakeval.config.container_syntax import Mount
from snakeval.config.model import Config, Task
from snakeval.config.reading.tree import Node
from snakeval.config.secrets import looks_secret
from snakeval.config.tasks.registry import RegisteredHarness, Registry
from snakeval.config.tasks.settings import REPEATS, SETTINGS
from snakeval.endpoint import Endpoint, Protocol
from snakeval.errors import HarnessError
from snakeval.harnesses.adapters import for_nvidia
from snakeval.harnesses.base import HarnessCommand
from snakeval.harnesses.runner import RUNNERS, RunnerHarness, data_cache, empty_folder, runner_command
from snakeval.harnesses.runners.snakeval_runners.nemo.request import NemoRequest
from snakeval.run.gateway_paths import GatewayPaths
from snakeval.run.harness_paths import HarnessPaths
from snakeval.system.checkout import CONFIG
from snakeval.system.ports import LOOPBACK

REGISTRY = Registry(CONFIG / "harnesses")
KEY_VARIABLE = "SNAKEVAL_API_KEY"
IN_IMAGE = RUNNERS / "in_image.sh"
# Where a container has `dataset_dir`.
DATASETS = "/datasets"
# Where harnesses look for a key without being told to; a user's own must not reach somebody else's endpoint.
USUAL_KEY_VARIABLES = ("OPENAI_API_KEY", "API_KEY")
# The gateway knows how long an answer may take, and sends again what fails.
REQUEST_TIMEOUT_S = 86_400
TRIES = 1
PARALLELISM = 8
_TYPES = {
    Protocol.CHAT: ("chat", "chat/completions"),
    Protocol.COMPLETIONS: ("completions", "completions"),
    Protocol.LOGLIKELIHOOD: ("completions", "completions"),
    Protocol.EMBEDDINGS: ("embedding", "embeddings"),
}
# The harnesses' command lines are templates of a shell's, which quote nothing.
_PLAIN = re.compile(r"[A-Za-z0-9._:/@+=-]+")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]+")
_SHELL = re.compile(r"[;&|<>$`\n\r'\\]")


class NemoEvaluatorHarness(RunnerHarness):
    """Calls `nemo-evaluator run_eval`; what was asked and answered stands in the task's journal."""

    program = "nemo-evaluator"

    def command(self, task: Task, endpoint: Endpoint, work_dir: Path, python: Path, config: Config) -> HarnessCommand:
        """Write request.json and return the command; see `Harness.command`.

        Raises:
            HarnessError: a value cannot be given to a harness without the shell reading more into it.
        """
        work_dir = empty_folder(work_dir)
        request = build_request(task, endpoint, work_dir)
        argv = runner_command(python, "snakeval_runners.nemo", work_dir, request)
        env = build_environment(task, endpoint, work_dir, python) | data_cache(task, work_dir, config)
        # Where `datasets` finds a folder of a dataset's name before it asks the hub.
        data = data_mount(task, config)
        if not task.container:
            return HarnessCommand(argv, env, Path(data.source) if data else work_dir)
        inside = ["/bin/sh", str(IN_IMAGE), argv[-1]]
        cwd = Path(data.target) if data else work_dir
        journal = Mount(str(request.journal_path), str(request.journal_path), read_only=True)
        mounts = (journal, data) if data else (journal,)
        return HarnessCommand(inside, env, cwd, mounts, tuple(_read_variables(task)))


def data_mount(task: Task, config: Config) -> Mount | None:
    """Return the folder of the task's data, and where a container has it."""
    if mount := _dataset_mount(task):
        return mount
    if not config.data_dir:
        return None
    source = str(config.data_dir.absolute())
    return Mount(source, source, read_only=True)


def _dataset_mount(task: Task) -> Mount | None:
    folder = task.dataset_dir
    if not folder:
        return None
    target = task.settings.get("dataset_mount_path") or DATASETS
    return Mount(str(Path(folder).absolute()), target, read_only=True)


def _read_variables(task: Task) -> Iterator[str]:
    """Yield the names of variables that task and NVIDIA's adapter read keys from."""
    registered = REGISTRY.harness(task.harness)
    known = registered.tasks.get(task.task) if registered else None
    yield from known.secrets if known else ()
    for settings in (task.extra, for_nvidia(task)):
        yield from _named_secrets(settings)


def _named_secrets(settings: Node) -> Iterator[str]:
    for name, inner in settings.items():
        if isinstance(inner, dict):
            yield from _named_secrets(Node(inner))
        elif isinstance(inner, str) and looks_secret(name) and _VARIABLE.fullmatch(inner):
            yield inner


def build_environment(task: Task, endpoint: Endpoint, work_dir: Path, python: Path) -> dict[str, str]:
    """Return the variables of nemo-evaluator and the harness, the endpoint's key among them."""
    mount = _dataset_mount(task)
    dataset = mount and (mount.target if task.container else mount.source)
    parallelism = task.traffic.parallelism or PARALLELISM
    # An image has a PATH and a Python of its own.
    path = os.pathsep.join([str(python.parent), os.environ.get("PATH", os.defpath)])
    return {
        **({} if task.container else {"PATH": path, "PYTHONPATH": str(RUNNERS)}),
        **{name: "" for name in USUAL_KEY_VARIABLES if name not in task.env_vars},
        **({KEY_VARIABLE: endpoint.api_key} if endpoint.api_key else {}),
        **({"NEMO_EVALUATOR_DATASET_DIR": dataset} if dataset else {}),
        "SNAKEVAL_HARNESS_FOLDER": str(work_dir),
        "SNAKEVAL_HARNESS_ATTEMPT": uuid.uuid4().hex,
        "ADAPTER_HOST": LOOPBACK,
        "ADAPTER_SERVER_THREADS": str(max(32, 2 * parallelism)),
        "NEMO_EVALUATOR_TELEMETRY_LEVEL": "0",
        **({} if _logs_requests(task.adapter_config) else {"NEMO_EVALUATOR_LOG_LEVEL": "WARNING"}),
        "NEMO_EVALUATOR_SHUTDOWN_TIMEOUT_SECONDS": "5",
        # A user's file of logins must not replace the key of a request.
        "NETRC": os.devnull,
        "TOKENIZERS_PARALLELISM": "false",
        # The runner reads progress bars; the core's pseudo-terminal has the size 0, so that there would be none.
        "TQDM_NCOLS": "120",
        "TQDM_NROWS": "20",
        "TQDM_MININTERVAL": "1",
    }


def _logs_requests(adapter_config: Node) -> bool:
    """Return whether the log is to have more than warnings: several lines for every request."""
    return any(adapter_config.get(name) for name in ("use_request_logging", "use_response_logging", "interceptors"))


def build_request(task: Task, endpoint: Endpoint, work_dir: Path) -> NemoRequest:
    """Return the content of request.json; the API key is in it by the name of its variable.

    Raises:
        HarnessError: see `NemoEvaluatorHarness.command`.
    """
    registered = REGISTRY.harness(task.harness)
    if registered is None:
        raise HarnessError(f"there is no harness {task.harness} in {REGISTRY.folder}")
    _require_secrets(task, registered)
    files = HarnessPaths(work_dir)
    return NemoRequest(
        run_config=_run_config(task, registered, endpoint, work_dir / "nemo_evaluator"),
        framework=task.harness,
        package=task.environment or registered.environment,
        image=task.container,
        task=task.task,
        limit=task.limit,
        repeats=task.repeats,
        parallelism=task.traffic.parallelism or PARALLELISM,
        journal_path=GatewayPaths(work_dir.parent).journal,
        outcome_path=files.outcome,
        samples_path=files.samples,
        progress_path=files.progress,
        error_path=files.error,
        output_path=work_dir / "nemo_evaluator",
    )


def _require_secrets(task: Task, registered: RegisteredHarness) -> None:
    known = registered.tasks.get(task.task)
    for name in known.secrets if known else ():
        if name not in task.env_vars and not os.environ.get(name):
            hint = f"set it, or say where it comes from: env_vars: {{{name}: host:NAME}}"
            raise HarnessError(f"task {task.harness}.{task.task} reads a key from {name}, which is not set; {hint}")


def _run_config(task: Task, registered: RegisteredHarness, endpoint: Endpoint, output: Path) -> Node:
    if task.sampling.system_prompt and task.protocol is not Protocol.CHAT:
        raise HarnessError(f"system_prompt needs protocol chat; {task.harness}.{task.task} sends {task.protocol.value}")
    kind, path = _TYPES[task.protocol]
    target = {
        "url": f"{endpoint.base_url.rstrip('/')}/{path}",
        "model_id": endpoint.model,
        "type": kind,
        "adapter_config": for_nvidia(task),
    }
    for what, value in (("the served model's name", endpoint.model), ("the folder of results", str(output))):
        if not _PLAIN.fullmatch(value):
            raise HarnessError(
                f"{what} is {value!r}, which harness {task.harness} cannot take: its command quotes nothing"
            )
    params = _params(task, registered)
    _refuse_shell(params, task.harness)
    return Node(
        {
            "config": {"type": f"{task.harness}.{task.task}", "output_dir": str(output), "params": params},
            "target": {"api_endpoint": target | ({"api_key_name": KEY_VARIABLE} if endpoint.api_key else {})},
        }
    )


def _params(task: Task, registered: RegisteredHarness) -> Node:
    """Return the settings that the harness has, under its names."""
    settings = task.settings | {"request_timeout_s": REQUEST_TIMEOUT_S, "max_retries": TRIES}
    known = {theirs: settings.get(ours) for ours, theirs in SETTINGS.items() if theirs in registered.settings}
    params = {name: value for name, value in known.items() if value is not None}
    if task.limit is not None:
        params["limit_samples"] = task.limit
    extra = Node({name: value for name, value in task.extra.items() if value is not None})
    extra.update({name: task.repeats for name in REPEATS if f"extra.{name}" in registered.settings})
    if task.protocol is Protocol.LOGLIKELIHOOD and "extra.tokenizer" in registered.settings:
        extra.update(_tokenizer(task, extra))
    return Node(params | ({"extra": extra} if extra else {}))


def _tokenizer(task: Task, extra: Node) -> dict[str, str]:
    """Return by what the harness counts the tokens of a prompt; its default for that is nothing, which fails late.

    The harness runs in another folder, so a path becomes absolute; a hub id stays.
    """
    tokenizer, backend = extra.get("tokenizer"), str(extra.get("tokenizer_backend"))
    if not tokenizer:
        raise HarnessError(
            f"task {task.harness}.{task.task} compares log-likelihoods, for which the harness needs the model's"
            " tokenizer; set tokenizer of the task to its path or hub id"
        )
    path = Path(tokenizer)
    return {
        "tokenizer": str(path.absolute()) if path.exists() else tokenizer,
        "tokenizer_backend": "huggingface" if backend.lower() == "none" else backend,
    }


def _refuse_shell(value: Any, harness: str) -> None:
    if isinstance(value, Mapping):
        for inner in value.values():
            _refuse_shell(inner, harness)
    elif isinstance(value, str) and (found := _SHELL.search(value)):
        raise HarnessError(
            f"extra holds {value!r}: harness {harness} cannot take {found[0]!r}, its command quotes nothing"
        )
