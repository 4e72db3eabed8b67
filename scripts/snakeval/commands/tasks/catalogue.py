"""What `snakeval tasks` shows: every harness and task that can be named, and one task with all that is known of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from msgspec import UNSET, UnsetType

from snakeval.config.reading.schema_files import load_schema
from snakeval.config.tasks.inspect import INSPECT, INSPECT_EVALS, shipped_by_inspect_evals, task_files, tasks_in
from snakeval.config.tasks.registry import RegisteredHarness, RegisteredTask, Registry
from snakeval.config.tasks.resolve import TaskIndex, natural_protocol, shipped_tasks
from snakeval.config.tasks.settings import REPEATS, SETTINGS
from snakeval.endpoint import Protocol
from snakeval.errors import Problem, UsageError
from snakeval.harnesses import HARNESSES
from snakeval.system.checkout import ENVS

LM_EVAL = "lm-eval"
# Harnesses beside those of the registry, in the order in which they are listed.
OWN = (LM_EVAL, INSPECT, INSPECT_EVALS)
# What a configuration calls the harnesses' parameters.
OUR_NAMES = {theirs: ours for ours, theirs in SETTINGS.items()} | {"limit_samples": "limit"}
OUR_NAMES |= {f"extra.{name}": "repeats" for name in REPEATS} | {"extra.num_fewshot": "num_fewshot"}


@dataclass(frozen=True)
class TaskRow:
    """One task of one harness.

    Attributes:
        name: As `harness.task`.
        harness: Who knows it.
        protocols: Kinds of request, the usual one first.
        judge: "required", "optional" or None.
        secrets: Environment variables that it reads keys from.
        runs: What runs it: "lm-eval", "lm-eval as TASK", "nemo-evaluator", or None when it can only be planned.
        image: Whether that needs the harness's image, and so `execution.container_runtime`.
    """

    name: str
    harness: str
    protocols: tuple[str, ...]
    judge: str | None
    secrets: tuple[str, ...]
    runs: str | None
    image: bool = False


@dataclass(frozen=True)
class HarnessRow:
    """One harness.

    Attributes:
        harness, version: Its name and release.
        package, container: Its name on PyPI, and its image; None where it has none.
        tasks, run, run_in_image: How many tasks it has, how many run here, and how many in its image.
    """

    harness: str
    version: str | None
    tasks: int
    run: int
    run_in_image: int
    package: str | None
    container: str | None


@dataclass(frozen=True, kw_only=True)
class TaskDocument(TaskRow):
    """All that is known of a task; what its kind of harness does not have is not shown.

    Attributes:
        definition, arguments: The file that defines it, and what it takes.
        version, module, package, container, platforms, settings: Of its harness, as in `RegisteredHarness`.
        defaults: Settings that it is run with unless others are given.
        native: What our own lm-eval runs in its place.
    """

    definition: str | UnsetType | None = UNSET
    arguments: Sequence[str] | UnsetType | None = UNSET
    version: str | UnsetType = UNSET
    module: str | UnsetType = UNSET
    package: str | UnsetType | None = UNSET
    container: str | UnsetType = UNSET
    platforms: Sequence[str] | UnsetType = UNSET
    settings: Sequence[str] | UnsetType = UNSET
    defaults: Mapping[str, Any]
    native: Mapping[str, Any] | UnsetType | None = UNSET


@dataclass(frozen=True)
class Filter:
    """Which tasks are wanted; None for all.

    Attributes:
        pattern: Part of the full name, or a pattern with `*` for the whole of it; upper and lower case alike.
        harness: Name of a harness.
        protocol: Kind of request.
    """

    pattern: str | None = None
    harness: str | None = None
    protocol: str | None = None

    def takes(self, row: TaskRow) -> bool:
        """Return whether a task is wanted."""
        name, pattern = row.name.lower(), (self.pattern or "").lower()
        fits = fnmatchcase(name, pattern) or fnmatchcase(name.partition(".")[2], pattern) if "*" in pattern else True
        return (
            fits
            and ("*" in pattern or pattern in name)
            and self.harness in (None, row.harness)
            and (self.protocol is None or self.protocol in row.protocols)
        )


def _lm_eval_settings(schemas: Path) -> Mapping[str, Any]:
    """Return the settings of an lm-eval task with their defaults."""
    properties = load_schema(schemas / "evaluation.schema.yaml").properties
    others = ("tasks", "task_dirs", "data_dir", "env_vars", "extra", "adapter_config")
    return {name: part.default for name, part in properties.items() if name not in others}


def index_of(workflow_dir: Path, task_dirs: tuple[Path, ...] = ()) -> TaskIndex:
    """Return where the tasks of a checkout are looked up."""
    harnesses = workflow_dir / "config" / "harnesses"
    return TaskIndex((*task_dirs, workflow_dir / "config" / "tasks"), harnesses / "lm-eval.tsv", Registry(harnesses))


def harness_rows(index: TaskIndex) -> list[HarnessRow]:
    """Return one row per harness."""
    rows = []
    for name in [*OWN, *index.registry.names()]:
        tasks = list(task_rows(index, Filter(harness=name)))
        harness = index.registry.harness(name)
        rows.append(
            HarnessRow(
                harness=name,
                version=harness.version if harness else None,
                tasks=len(tasks),
                run=sum(task.runs is not None and not task.image for task in tasks),
                run_in_image=sum(task.image for task in tasks),
                package=harness.package if harness else None,
                container=harness.container if harness else None,
            )
        )
    return rows


def task_rows(index: TaskIndex, wanted: Filter) -> Iterator[TaskRow]:
    """Yield the tasks that are wanted: the registry's, then those of lm-eval, own definitions among them."""
    names = index.registry.names() if wanted.harness is None else [wanted.harness]
    for name in names:
        harness = index.registry.harness(name)
        for task in harness.tasks.values() if harness else ():
            if harness and wanted.takes(row := _registered_row(harness, task)):
                yield row
    if wanted.harness in (None, LM_EVAL):
        yield from filter(wanted.takes, _lm_eval_rows(index))
    if wanted.harness in (None, INSPECT, INSPECT_EVALS):
        yield from filter(wanted.takes, _inspect_rows(index))


def task_document(index: TaskIndex, name: str, schemas: Path) -> TaskDocument:
    """Return what is known of one task, `harness.task`, ready to be shown.

    Args:
        index: Where tasks are looked up.
        name: The task.
        schemas: Folder with the schemas.

    Raises:
        UsageError: there is no such task.
    """
    harness_name, _, task_name = name.partition(".")
    harness, task = index.registry.harness(harness_name), index.registry.task(harness_name, task_name)
    if harness and task:
        return _registered_document(harness, task)
    if harness_name == LM_EVAL and (found := next((row for row in _lm_eval_rows(index) if row.name == name), None)):
        definition = _definition(index, task_name)
        return TaskDocument(**vars(found), definition=definition, defaults=_lm_eval_settings(schemas))
    if harness_name in (INSPECT, INSPECT_EVALS):
        for row in _inspect_rows(index):
            if row.name == name:
                return _inspect_document(index, row, schemas)
    holders = [holder for holder in (LM_EVAL, *index.registry.holders(name)) if _has(index, holder, name)]
    expected = "one of " + ", ".join(f"{holder}.{name}" for holder in holders) if holders else "HARNESS.TASK"
    hint = f"`snakeval tasks {task_name or name}` lists what is close to it"
    raise UsageError(Problem(name, "names no task, or several", name, expected, hint))


def _has(index: TaskIndex, harness: str, task: str) -> bool:
    if harness != LM_EVAL:
        return True
    return task in (shipped_tasks(index.shipped) or ()) or index.definition(task) is not None


def _lm_eval_rows(index: TaskIndex) -> Iterator[TaskRow]:
    shipped = shipped_tasks(index.shipped) or {}
    own = {file.stem for folder in index.folders for file in folder.glob("*.yaml") if not file.stem.startswith("_")}
    for name in sorted(own | set(shipped)):
        protocol = Protocol.CHAT if name in own else natural_protocol(shipped[name])
        usual = (protocol,) if protocol is Protocol.LOGLIKELIHOOD else (Protocol.CHAT, Protocol.COMPLETIONS)
        yield TaskRow(f"{LM_EVAL}.{name}", LM_EVAL, tuple(p.value for p in usual), None, (), LM_EVAL)


def _inspect_rows(index: TaskIndex) -> Iterator[TaskRow]:
    chat = (Protocol.CHAT.value,)
    own = {f"{INSPECT}.{name}" for file in task_files(index.folders) for name in tasks_in(file)}
    for name in sorted(own):
        yield TaskRow(name, INSPECT, chat, None, (), INSPECT)
    for name, need in shipped_by_inspect_evals().items():
        runs = INSPECT if need == "-" else f"{INSPECT}, with {need}"
        yield TaskRow(f"{INSPECT_EVALS}.{name}", INSPECT_EVALS, chat, None, (), runs)


def _inspect_document(index: TaskIndex, row: TaskRow, schemas: Path) -> TaskDocument:
    """Return what is known of a task of Inspect; what the tasks of inspect_evals take is known to the package alone."""
    name = row.name.partition(".")[2]
    file = next((one for one in task_files(index.folders) if name in tasks_in(one)), None)
    file = file if row.harness == INSPECT else None
    unused = ("num_fewshot", "tokenizer", "protocol")
    defaults = {key: value for key, value in _lm_eval_settings(schemas).items() if key not in unused}
    arguments = list(tasks_in(file)[name] or ()) if file else None
    return TaskDocument(**vars(row), definition=str(file) if file else None, arguments=arguments, defaults=defaults)


def _registered_row(harness: RegisteredHarness, task: RegisteredTask) -> TaskRow:
    protocols = tuple(protocol.value for protocol in task.protocols)
    runs = harness.module if harness.module in HARNESSES else None
    image = runs is not None and not (ENVS / f"{harness.environment}.lock").exists()
    if task.native is not None:
        runs, image = f"{LM_EVAL} as {task.native.task}", False
    return TaskRow(f"{harness.name}.{task.name}", harness.name, protocols, task.judge, task.secrets, runs, image)


def _registered_document(harness: RegisteredHarness, task: RegisteredTask) -> TaskDocument:
    native = task.native
    return TaskDocument(
        **vars(_registered_row(harness, task)),
        version=harness.version,
        module=harness.module,
        package=harness.package,
        container=harness.container,
        platforms=harness.platforms,
        settings=tuple(sorted(OUR_NAMES.get(name, name) for name in harness.settings)),
        defaults=task.defaults,
        native={"task": native.task, **native.settings} if native is not None else None,
    )


def _definition(index: TaskIndex, name: str) -> str | None:
    found = index.definition(name)
    return str(found) if found else None
