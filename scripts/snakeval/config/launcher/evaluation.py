"""The launcher's `evaluation`: `nemo_evaluator_config` and the older `overrides`, for all tasks and for one."""

from collections.abc import Iterator, Mapping
from typing import Any

from snakeval.config.launcher.findings import Findings
from snakeval.config.reading.tree import Keys, Tree
from snakeval.config.reading.wording import show
from snakeval.errors import Problem

_PARAMS = {
    "limit_samples": "limit",
    "parallelism": "parallelism",
    "temperature": "temperature",
    "top_p": "top_p",
    "max_new_tokens": "max_new_tokens",
    "request_timeout": "request_timeout_s",
    "max_retries": "max_retries",
}
_EXTRA = {"num_fewshot": "num_fewshot", "n_samples": "repeats", "num_repeats": "repeats"}
# What an adapter writes down, shows or keeps changes no score, and what keeps answers is there anyway.
_LOGGING = (
    "use_request_logging",
    "use_response_logging",
    "use_caching",
    "use_response_stats",
    "use_progress_tracking",
    "log_failed_requests",
    "max_logged_requests",
    "max_logged_responses",
    "max_saved_requests",
    "max_saved_responses",
    "save_requests",
    "save_responses",
    "reuse_cached_responses",
    "caching_dir",
    "tracking_requests_stats",
    "progress_tracking_url",
    "progress_tracking_interval",
    "generate_html_report",
    "html_report_size",
    "include_json",
    "output_dir",
)
_LOGGED = "answers, samples, counts and tokens are always written (docs/results.md)"
_FILLED_IN = "Snakeval fills it in"
_PROTOCOLS = {"chat": "chat", "completions": "completions", "completions_logprob": "loglikelihood"}
_PROTOCOLS |= {"embedding": "embeddings", "embeddings": "embeddings", "vlm": "chat"}
_NAMES = ("nemo_evaluator_config", "overrides")
_COMMANDS = ("pre_cmd", "post_cmd")


def translate_evaluation(tree: Tree, findings: Findings) -> None:
    """Rewrite the keys of `evaluation` and of every task, and the adapter's settings under `target`."""
    places: list[Keys] = [("evaluation",)]
    tasks = tree.get(("evaluation", "tasks"))
    for index, task in enumerate(tasks if isinstance(tasks, list) else ()):
        if isinstance(task, dict):
            places.append(("evaluation", "tasks", index))
            _protocol(tree, ("evaluation", "tasks", index), findings)
    if isinstance(tree.get(("target", "api_endpoint", "adapter_config")), dict):
        _Settings(tree, ("evaluation",), findings).adapter(("target", "api_endpoint", "adapter_config"))
    for place in places:
        _commands(tree, place)
        for name in _NAMES:
            _Settings(tree, place, findings).translate(name)


def _protocol(tree: Tree, place: Keys, findings: Findings) -> None:
    keys: Keys = (*place, "endpoint_type")
    kind = tree.get(keys)
    if kind in _PROTOCOLS and tree.get((*place, "protocol")) is None:
        tree.put((*place, "protocol"), _PROTOCOLS[kind], tree.origin(keys))
        tree.remove(keys)
    elif kind is None:
        tree.remove(keys)
    elif kind not in _PROTOCOLS:
        findings.refused(keys, "is not a known value", "chat, completions or embedding", "or leave it to the task")


def _commands(tree: Tree, place: Keys) -> None:
    for name in _COMMANDS:
        if tree.get((*place, name)) == "":
            tree.remove((*place, name))


class _Settings:
    """The settings of all tasks, or of one."""

    def __init__(self, tree: Tree, place: Keys, findings: Findings) -> None:
        self._tree = tree
        self._place = place
        self._findings = findings

    def translate(self, name: str) -> None:
        """Rewrite `nemo_evaluator_config`, or `overrides`, whose keys are dotted."""
        here: Keys = (*self._place, name)
        if not isinstance(self._tree.get(here), dict):
            if self._tree.get(here) is None:
                self._tree.remove(here)
            return
        self._undot(here)
        params: Keys = (*here, "config", "params")
        for key in self._keys(params):
            if key != "extra":
                self._param((*params, key))
        for key in self._keys((*params, "extra")):
            target = (*self._place, _EXTRA[key]) if key in _EXTRA else (*self._place, "extra", key)
            self._move((*params, "extra", key), target)
        self.adapter((*here, "target", "api_endpoint", "adapter_config"))
        self._rest(here, params)
        self._tree.remove(here)

    def adapter(self, keys: Keys) -> None:
        """Rewrite an `adapter_config`, wherever it stands."""
        given = self._tree.get(keys)
        if not isinstance(given, dict):
            return
        prompt = given.get("custom_system_prompt")
        if prompt is not None and given.get("use_system_prompt") in (True, None):
            self._move((*keys, "custom_system_prompt"), (*self._place, "system_prompt"))
        for key in ("use_system_prompt", "custom_system_prompt"):
            self._tree.remove((*keys, key))
        for key in list(given):
            if key in _LOGGING:
                self._findings.no_meaning((*keys, key), _LOGGED)
            elif given[key] in (None, False, {}, []):
                self._tree.remove((*keys, key))
            else:
                self._move((*keys, key), (*self._place, "adapter_config", key))
        self._tree.remove(keys)

    def _undot(self, here: Keys) -> None:
        """Make `{config.params.temperature: 1}` a nested mapping."""
        for key in self._keys(here):
            if "." in key:
                origin = self._tree.origin((*here, key))
                self._tree.put((*here, *key.split(".")), self._tree.remove((*here, key)), origin)

    def _param(self, keys: Keys) -> None:
        name = str(keys[-1])
        if name in _PARAMS:
            self._move(keys, (*self._place, _PARAMS[name]))
        elif name == "task":
            self._move(keys, (*self._place, "extra", "task"))
        else:
            known = ", ".join([*_PARAMS, "extra"])
            self._findings.refused(
                keys, "is not a known parameter", f"one of {known}", "`snakeval tasks show harness.task` lists them"
            )

    def _rest(self, here: Keys, params: Keys) -> None:
        """What is left besides: the launcher fills in type, URL, folder and metadata as we do."""
        for keys, value in list(self._leaves(here)):
            if keys[: len(params)] == params:
                continue
            inner = keys[len(here) :]
            if inner[:2] in (("config", "output_dir"), ("config", "type")) or inner[0] == "metadata":
                self._findings.no_meaning(keys, _FILLED_IN)
            elif inner == ("target", "api_endpoint", "type") and value in _PROTOCOLS:
                self._tree.put((*self._place, "protocol"), _PROTOCOLS[value], self._tree.origin(keys))
            elif value not in (None, False, {}, []):
                hint = "endpoint and harness are set by deployment and evaluation"
                expected = "config.params or target.api_endpoint.adapter_config"
                self._findings.refused(keys, "cannot be honoured", expected, hint)

    def _move(self, source: Keys, target: Keys) -> None:
        """Move a setting; one that is given under both names, with two values, is a problem."""
        there = self._tree.get(target)
        if there is None:
            self._tree.move(source, target)
            return
        value = self._tree.get(source)
        if there != value and self._tree.from_command_line(source) and not self._tree.from_command_line(target):
            self._tree.move(source, target)
        elif there != value and not self._tree.from_command_line(target):
            hint = f"keep one of them and {self._tree.dotted(target)}"
            what = f"says something else than {self._tree.dotted(target)}"
            problem = Problem(self._tree.where(source), what, show(value), show(there), hint)
            self._findings.problems.append(problem)

    def _keys(self, keys: Keys) -> list[str]:
        node = self._tree.get(keys)
        return list(node) if isinstance(node, dict) else []

    def _leaves(self, keys: Keys) -> Iterator[tuple[Keys, Any]]:
        """Yield the values below, lists as a whole."""
        node = self._tree.get(keys)
        for key in list(node) if isinstance(node, Mapping) else ():
            if isinstance(node[key], Mapping) and node[key]:
                yield from self._leaves((*keys, key))
            else:
                yield (*keys, key), node[key]
