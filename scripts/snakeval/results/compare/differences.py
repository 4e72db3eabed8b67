"""What differs between the settings behind two results, by name."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Literal

from snakeval.results.result import FreeJson, Result

Part = Literal["deployment", "task"]


@dataclass(frozen=True)
class Setting:
    """One setting that differs.

    Attributes:
        component: Its dotted name.
        baseline, candidate: Its values, None where it is not set.
        accepted: Whether the two stay comparable.
    """

    component: str
    baseline: Any
    candidate: Any
    accepted: bool = False

    def accepted_by(self, accept: Sequence[str]) -> "Setting":
        """Return it as accepted when a name or pattern of `accept` fits."""
        return replace(self, accepted=any(fnmatchcase(self.component, pattern) for pattern in accept))

    def __str__(self) -> str:
        return f"{self.component} ({_show(self.baseline)} in the baseline, {_show(self.candidate)} in the candidate)"


def differences(part: Part, baseline: Result, candidate: Result, accept: Sequence[str] = ()) -> list[Setting]:
    """Return what differs between two results in the settings of their deployment or task.

    Args:
        part: Which of the two.
        baseline, candidate: Results.
        accept: Names or patterns of settings that may differ.
    """
    before, after = baseline.fingerprint, candidate.fingerprint
    recorded = bool(before.components and after.components)
    found = list(_named(part, baseline, candidate, recorded))
    hashes = (before.deployment, after.deployment) if part == "deployment" else (before.task, after.task)
    # Without components nobody can tell that what is named is all that differs.
    if hashes[0] != hashes[1] and not (found and recorded):
        found.append(Setting(f"fingerprint.{part}", *hashes))
    return [one.accepted_by(accept) for one in found]


def _named(part: Part, baseline: Result, candidate: Result, recorded: bool) -> Iterator[Setting]:
    before, after = (_components(part, result, recorded) for result in (baseline, candidate))
    for name in dict.fromkeys((*before, *after)):
        if before.get(name) != after.get(name):
            yield Setting(name, before.get(name), after.get(name))


def _components(part: Part, result: Result, recorded: bool) -> FreeJson:
    components = result.fingerprint.components if recorded else None
    if part == "deployment":
        return components.deployment if components else {}
    # What every result names beside its fingerprint, for those that were written before components were recorded.
    always = {
        "harness": result.harness,
        "protocol": result.protocol,
        "limit": result.limit,
        "repeats": result.repeats,
    }
    # What the harness says of itself is the version of the task; that of Snakeval decides nothing. A package has one
    # name in locks and another one in Python (lm-eval, lm_eval).
    told = {name.replace("_", "-"): value for name, value in result.versions.items() if name != "snakeval"}
    return {
        **{name: value for name, value in always.items() if value is not None},
        "task": result.harness_task,
        **(components.task if components else {}),
        **dict(_flat("versions", told)),
    }


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        yield name, value
        return
    for inner, below in value.items():
        yield from _flat(f"{name}.{inner}", below)


def _show(value: Any) -> str:
    text = "not set" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}..."
