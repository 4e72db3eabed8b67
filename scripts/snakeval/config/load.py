"""Loading a configuration: compose, override, check, resolve; all findings at once."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from snakeval.config.comparisons import check_comparisons, draft_comparisons
from snakeval.config.draft import Draft, make_draft
from snakeval.config.exports import check_exports
from snakeval.config.launcher import translate
from snakeval.config.model import Config
from snakeval.config.reading.compose import compose
from snakeval.config.reading.interpolation import interpolate
from snakeval.config.reading.overrides import Overrides, apply_overrides
from snakeval.config.reading.schema_files import Schemas
from snakeval.config.resolve import build
from snakeval.config.rules.check import check_rules
from snakeval.config.rules.settings import unused_settings
from snakeval.config.tasks.registry import Registry
from snakeval.config.tasks.resolve import ResolvedTask, TaskIndex, protocol_problems, resolve_task
from snakeval.errors import ConfigError, Problem


def load_config(
    configfiles: Sequence[Path],
    overrides: Overrides,
    workflow_dir: Path,
    environ: Mapping[str, str],
    check_environ: bool = True,
) -> Config:
    """Return the configuration of a run, complete and validated.

    Args:
        configfiles: Later ones win; without any, `<workflow_dir>/config/config.yaml`. Paths that they hold are
            relative to the working directory.
        overrides: What `--config` gave, nested or with dotted keys.
        workflow_dir: The checkout: schemas, config groups, task definitions, lock files.
        environ: Variables of this machine, to see whether those that the configuration names are set.
        check_environ: Whether variables and folders of this machine are looked at; no for a mere look at the files.

    Raises:
        ConfigError: with every problem, by file and path.
    """
    files = [Path(file) for file in configfiles] or [workflow_dir / "config" / "config.yaml"]
    composition = compose(files, workflow_dir / "config")
    tree = composition.tree
    schemas = Schemas(workflow_dir / "schemas")
    problems = composition.problems + apply_overrides(tree, overrides)
    problems += interpolate(tree, environ, schemas.default_of(tree))
    launcher = translate(tree, schemas, composition.chosen)
    problems += launcher.problems
    draft, found = make_draft(tree, schemas, files[-1].stem)
    found += check_rules(draft, environ if check_environ else None)
    comparisons = draft_comparisons(draft, tree, schemas)
    found += check_comparisons(comparisons, draft, schemas if check_environ else None)
    found += check_exports(draft, schemas, environ if check_environ else None)

    own_tasks = workflow_dir / "config" / "tasks"
    task_dirs = (*map(Path, draft.evaluation.data["task_dirs"]), own_tasks)
    harnesses = workflow_dir / "config" / "harnesses"
    index = TaskIndex(task_dirs, harnesses / "lm-eval.tsv", Registry(harnesses))
    tasks, unknown = _resolve_tasks(draft, index)
    problems += unknown + list(unused_settings(tasks, draft))
    problems += [problem for problem in found if not _follows_from(problem, composition.broken)]
    if problems:
        raise ConfigError(sorted(set(problems), key=lambda problem: (problem.where, problem.what)))
    config = build(draft, tasks, comparisons, task_dirs, workflow_dir / "envs")
    return replace(config, notices=(*launcher.notices(), *config.notices))


def _resolve_tasks(draft: Draft, index: TaskIndex) -> tuple[list[ResolvedTask], list[Problem]]:
    tasks: list[ResolvedTask] = []
    problems: list[Problem] = []
    for entry in draft.tasks:
        try:
            task = resolve_task(entry, index)
        except ConfigError as error:
            problems += error.problems
            continue
        if isinstance(task, Problem):
            problems.append(task)
        else:
            tasks.append(task)
            problems += protocol_problems(task, draft.deployments)
    return tasks, problems


def _follows_from(problem: Problem, broken: set[str]) -> bool:
    """Return whether a part is missing only because a file of its group could not be found."""
    path = problem.where.rpartition(": ")[2]
    return problem.what == "is missing" and path.split(".")[0] in broken
