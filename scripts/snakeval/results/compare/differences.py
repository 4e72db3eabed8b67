"""What differs between the settings behind two results, by name."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

# What every result names beside its fingerprint, for those that were written before components were recorded.
_ALWAYS = ("harness", "protocol", "limit", "repeats")


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

    def as_json(self) -> dict[str, Any]:
        """Return it as the comparison's file has it."""
        return asdict(self)

    def accepted_by(self, accept: Sequence[str]) -> "Setting":
        """Return it as accepted when a name or pattern of `accept` fits."""
        return replace(self, accepted=any(fnmatchcase(self.component, pattern) for pattern in accept))

    def __str__(self) -> str:
        return f"{self.component} ({_show(self.baseline)} in the baseline, {_show(self.candidate)} in the candidate)"


def differences(
    part: str, baseline: Mapping[str, Any], candidate: Mapping[str, Any], accept: Sequence[str] = ()
) -> list[Setting]:
    """Return what differs between two results in the settings of their deployment or task.

    Args:
        part: "deployment" or "task".
        baseline, candidate: Results.
        accept: Names or patterns of settings that may differ.
    """
    recorded = all("components" in result["fingerprint"] for result in (baseline, candidate))
    found = list(_named(part, baseline, candidate, recorded))
    before, after = baseline["fingerprint"][part], candidate["fingerprint"][part]
    # Without components nobody can tell that what is named is all that differs.
    if before != after and not (found and recorded):
        found.append(Setting(f"fingerprint.{part}", before, after))
    return [one.accepted_by(accept) for one in found]


def _named(part: str, baseline: Mapping[str, Any], candidate: Mapping[str, Any], recorded: bool) -> Iterator[Setting]:
    before, after = (_components(part, result, recorded) for result in (baseline, candidate))
    for name in dict.fromkeys((*before, *after)):
        if before.get(name) != after.get(name):
            yield Setting(name, before.get(name), after.get(name))


def _components(part: str, result: Mapping[str, Any], recorded: bool) -> dict[str, Any]:
    components = dict(result["fingerprint"]["components"][part]) if recorded else {}
    if part == "deployment":
        return components
    always = {name: result[name] for name in _ALWAYS if result[name] is not None}
    # What the harness says of itself is the version of the task; that of Snakeval decides nothing. A package has one
    # name in locks and another one in Python (lm-eval, lm_eval).
    told = {name.replace("_", "-"): value for name, value in result["versions"].items() if name != "snakeval"}
    return {**always, "task": result["harness_task"], **components, **_flat("versions", told)}


def _flat(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {name: value}
    return {key: one for inner, below in value.items() for key, one in _flat(f"{name}.{inner}", below).items()}


def _show(value: Any) -> str:
    text = "not set" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}..."
