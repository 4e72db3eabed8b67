"""What no single schema can say: rules over several keys, each a small function."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from snakeval.config.auxiliaries import auxiliary_rules
from snakeval.config.draft import Draft
from snakeval.config.endpoint import wrong_url
from snakeval.config.reading.entry import Entry
from snakeval.config.reading.wording import show
from snakeval.config.rules.containers import CONTAINER_RULES
from snakeval.config.rules.engines import check_engines
from snakeval.config.rules.instances import (
    instances_are_healthy_by_a_path,
    instances_divide_nodes,
    router_is_understood,
)
from snakeval.config.secrets import host_name, unset, unusable_key
from snakeval.config.tasks.draft import harness_prefix
from snakeval.errors import Problem
from snakeval.system.extensions import load_function

TRUST = "SNAKEVAL_TRUST_PRE_CMD"
RESERVED_TASKS = ("server",)
RESERVED_DEPLOYMENTS = (
    "compare",
    "config.resolved.yaml",
    "exports",
    "lock.yaml",
    "report.html",
    "summary.csv",
    "summary.json",
    "summary.md",
)


Rule = Callable[[Draft], Iterator[Problem]]


def check_rules(draft: Draft, environ: Mapping[str, str] | None) -> list[Problem]:
    """Return what breaks a rule, over all objects that their schemas accept.

    Args:
        draft: The objects.
        environ: Variables of this machine; None to look at neither its variables nor its folders.
    """
    problems = [problem for rule in _RULES for problem in rule(draft)]
    problems += check_engines(draft)
    if environ is not None:
        problems += _unset_variables(draft, environ)
        problems += _commands_are_trusted(draft, environ)
        problems += _absent_folders(draft)
        problems += _absent_files(draft)
    return problems


def _unique_names(draft: Draft) -> Iterator[Problem]:
    yield from _unique(draft.served, "deployment", "give each of them another `name`")
    yield from _unique(draft.tasks, "task", "give each of them another `name`, and the same `task`")


def _unique(entries: Sequence[Entry], kind: str, hint: str) -> Iterator[Problem]:
    seen: set[str] = set()
    for entry in entries:
        name = entry.data["name"]
        if name.lower() in seen:
            expected = f"every {kind} with its own name, upper and lower case alike"
            yield Problem(entry.at("name"), f"names a second {kind}", show(name), expected, hint)
        seen.add(name.lower())


def _reserved_names(draft: Draft) -> Iterator[Problem]:
    for entries, reserved in ((draft.tasks, RESERVED_TASKS), (draft.served, RESERVED_DEPLOYMENTS)):
        for entry in entries:
            if entry.data["name"].lower() in reserved:
                expected = "a name other than " + ", ".join(reserved)
                hint = "names become folders of the results, where this name is taken; give it another `name`"
                yield Problem(entry.at("name"), "is reserved", show(entry.data["name"]), expected, hint)


def _endpoint_is_complete(draft: Draft) -> Iterator[Problem]:
    for entry in _of_type_none(draft):
        for key, example in (("url", "http://localhost:8000/v1"), ("model_id", "the name that /v1/models lists")):
            if not entry.data[key]:
                evaluated = f"target.api_endpoint.{key}, or " if entry in draft.deployments else ""
                hint = f"set {evaluated}{key} of this deployment"
                yield Problem(entry.at(key), "is missing", "nothing", f"a text, for example {example}", hint)


def _endpoint_url(draft: Draft) -> Iterator[Problem]:
    for entry in _of_type_none(draft):
        url = entry.data["url"]
        what = wrong_url(url) if url else None
        if what:
            # A URL with a user or a query may hold a password or a key.
            got = f"a text of {len(url)} characters (not shown)" if what.startswith("holds") else show(url)
            hint = "give the address alone, and the key by api_key_name"
            yield Problem(entry.at("url"), what, got, "http(s)://HOST[:PORT]/PATH, without user and query", hint)


def _endpoint_name(draft: Draft) -> Iterator[Problem]:
    for entry in _of_type_none(draft):
        name, model = entry.data["served_model_name"], entry.data["model_id"]
        if model and name != model:
            hint = "leave served_model_name out; it is taken from model_id"
            yield Problem(entry.at("served_model_name"), "differs from model_id", show(name), show(model), hint)


def _endpoint_has_no_port(draft: Draft) -> Iterator[Problem]:
    for entry in _of_type_none(draft):
        if entry.data["port"] is not None:
            hint = "write the port in the URL; a deployment of type none starts no server"
            got = show(entry.data["port"])
            yield Problem(entry.at("port"), "has no meaning with type none", got, "null", hint)


def _target_has_a_deployment(draft: Draft) -> Iterator[Problem]:
    types = sorted({entry.data["type"] for entry in draft.deployments})
    if draft.top.data["target"] is None or not draft.deployments_complete or "none" in types:
        return
    hint = "remove target, or choose defaults: [{deployment: none}] to evaluate it"
    got = f"deployment type {', '.join(types)}"
    yield Problem(draft.top.at("target"), "needs a deployment of type none", got, "deployment type none", hint)


def _ports(draft: Draft) -> Iterator[Problem]:
    if draft.execution.data["max_deployments"] == 1 and not draft.auxiliaries:
        return
    by_port: defaultdict[int, list[Entry]] = defaultdict(list)
    for entry in draft.served:
        if entry.data["port"] is not None:
            by_port[entry.data["port"]].append(entry)
    for port, entries in by_port.items():
        for entry in entries[1:]:
            what = f"is the port of deployment {entries[0].data['name']} too"
            expected = "a port of its own, or null, because execution.max_deployments lets them run together"
            yield Problem(entry.at("port"), what, show(port), expected, "leave port out to take a free one")


def _command_and_harness(draft: Draft) -> Iterator[Problem]:
    for entry in draft.tasks:
        harness, command = entry.data["harness"], entry.data["command"]
        if command is not None and harness not in (None, "command"):
            hint = "remove command to run the harness's own task, or harness to run the command"
            got = f"harness {harness}"
            yield Problem(entry.at("command"), "is not for this harness", got, "harness command or null", hint)
        if command is None and harness == "command":
            hint = "add the command that scores the endpoint"
            yield Problem(entry.at("command"), "is missing", "nothing", "a text or a list", hint)
        if command is not None and entry.data["tokenizer"] is not None:
            hint = "pass it in the command or by env_vars"
            got = show(entry.data["tokenizer"])
            yield Problem(entry.at("tokenizer"), "has no meaning for a command", got, "null", hint)


def _prefix_and_harness(draft: Draft) -> Iterator[Problem]:
    for entry in draft.tasks:
        prefix, harness = harness_prefix(entry.data["name"], entry.schema), entry.data["harness"]
        # lm-eval runs most tasks of lm-evaluation-harness.
        if prefix and harness != prefix and (prefix, harness) != ("lm-evaluation-harness", "lm-eval"):
            hint = f"remove harness, or the prefix {prefix}. of the name"
            what = "contradicts the name of the task"
            yield Problem(entry.at("harness"), what, show(harness), f"{prefix} or null", hint)


def _of_type_none(draft: Draft) -> Iterator[Entry]:
    return (entry for entry in draft.served if entry.data["type"] == "none")


def _absent_folders(draft: Draft) -> Iterator[Problem]:
    evaluation = draft.evaluation
    named = [(("task_dirs", index), name) for index, name in enumerate(evaluation.data["task_dirs"])]
    if evaluation.data["data_dir"]:
        named.append((("data_dir", 0), evaluation.data["data_dir"]))
    for (key, index), name in named:
        if not Path(name).is_dir():
            where = evaluation.at(key, index) if key == "task_dirs" else evaluation.at(key)
            hint = "check the path; relative paths start at the working directory"
            yield Problem(where, "is not a folder", show(name), "an existing folder", hint)


def _absent_files(draft: Draft) -> Iterator[Problem]:
    for entry in draft.served:
        for key, file in entry.files().items():
            if not file.is_file():
                hint = "check the path; relative paths start at the working directory"
                yield Problem(entry.at(key), "is not a file", show(str(file)), "an existing file", hint)


def _commands_are_trusted(draft: Draft, environ: Mapping[str, str]) -> Iterator[Problem]:
    """Commands around tasks run as the user, so that a configuration of somebody else must not bring any unnoticed."""
    if environ.get(TRUST) == "1":
        return
    for entry in (draft.evaluation, *draft.tasks):
        for key in ("pre_cmd", "post_cmd"):
            if entry.data[key] and (entry is draft.evaluation or key in entry.own_keys):
                hint = f"read the commands, then export {TRUST}=1 where Snakemake is called"
                lines = len(entry.data[key].splitlines())
                got = f"{lines} {'line' if lines == 1 else 'lines'} (not shown)"
                what = "holds commands that nobody said to be trusted"
                yield Problem(entry.at(key), what, got, f"{TRUST}=1 in the environment", hint)


def _unset_variables(draft: Draft, environ: Mapping[str, str]) -> Iterator[Problem]:
    # Where servers do not inherit from this machine, its variables say nothing of theirs.
    servers = () if draft.execution.schema.place.has_own_variables else (draft.execution, *draft.served)
    for entry in (draft.top, *servers, draft.evaluation, *draft.tasks):
        env_vars = entry.data.get("env_vars")
        for name, reference in env_vars.items() if isinstance(env_vars, dict) else ():
            variable = host_name(reference) if isinstance(reference, str) else None
            if variable and variable not in environ:
                yield unset(entry.at("env_vars", name), variable)
    for entry in _of_type_none(draft):
        variable = entry.data["api_key_name"]
        if variable and (problem := unusable_key(entry.at("api_key_name"), variable, environ)) is not None:
            yield problem


def _rules_of_execution(draft: Draft) -> Iterator[Problem]:
    """Yield what breaks the rules that the schema of the execution type names, if it names any."""
    execution = draft.execution
    reference = execution.schema.place.rules
    if reference is not None:
        where = f"schemas/execution/{execution.data['type']}.schema.yaml: x-rules"
        yield from load_function(reference, where, _rules_of_execution)(draft)


_RULES: tuple[Rule, ...] = (
    _unique_names,
    _reserved_names,
    _endpoint_is_complete,
    _endpoint_url,
    _endpoint_name,
    _endpoint_has_no_port,
    _target_has_a_deployment,
    _ports,
    _command_and_harness,
    _prefix_and_harness,
    instances_divide_nodes,
    instances_are_healthy_by_a_path,
    router_is_understood,
    _rules_of_execution,
    auxiliary_rules,
    *CONTAINER_RULES,
)
