"""A gate's policy: which tasks count, how much worse they may be, and what doubt means."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from snakeval.config.comparisons import policy_problems
from snakeval.config.reading.schema import fill
from snakeval.config.reading.schema_files import Schemas
from snakeval.config.reading.yamlfile import read_yaml
from snakeval.errors import ConfigError
from snakeval.system.checkout import SCHEMAS
from snakeval.system.hashing import sha256_hex

_SCHEMAS = Schemas(SCHEMAS)
CRITICAL, SUPPORTING, ADVISORY = "critical", "supporting", "advisory"


@dataclass(frozen=True)
class Demand:
    """What the policy says to the tasks of one name or pattern.

    Attributes:
        match: The name or pattern.
        tier: "critical", "supporting" or "advisory".
        max_drop: Largest drop, absolute; None for no such limit.
        max_relative_drop: Largest drop as a share of the baseline's score; None for no such limit.
        when_unsure: "inconclusive", "fail" or "pass": how a task counts whose interval spans the limit.
    """

    match: str
    tier: str
    max_drop: float | None
    max_relative_drop: float | None
    when_unsure: str

    def limit(self, baseline: float) -> float | None:
        """Return the largest drop that is allowed from this score, None without a limit."""
        limits = [self.max_drop] if self.max_drop is not None else []
        if self.max_relative_drop is not None:
            limits.append(self.max_relative_drop * abs(baseline))
        return min(limits, default=None)


@dataclass(frozen=True)
class Policy:
    """A policy file.

    Attributes:
        path: The file.
        sha256: Digest of its content.
        demands: In the order of the file; the first that fits a task decides.
        allowed_failures: Number of supporting tasks that may fail.
        fail_on: Verdicts that fail the run.
    """

    path: Path
    sha256: str
    demands: tuple[Demand, ...]
    allowed_failures: int
    fail_on: tuple[str, ...]

    def demand(self, task: str) -> Demand | None:
        """Return what is asked of a task, None when no entry fits."""
        return next((one for one in self.demands if fnmatchcase(task, one.match)), None)


@dataclass(frozen=True)
class _Limits:
    max_drop: float | None
    max_relative_drop: float | None


@dataclass(frozen=True)
class _Entry(_Limits):
    match: str
    tier: str


@dataclass(frozen=True)
class _Tier(_Limits):
    when_unsure: str
    allowed_failures: int = 0


@dataclass(frozen=True)
class _File:
    """A policy file, valid by `schemas/policy.schema.yaml`, its defaults filled in."""

    tasks: tuple[_Entry, ...]
    tiers: Mapping[str, _Tier]
    fail_on: tuple[str, ...]


def read_policy(path: Path) -> Policy:
    """Read a policy file; raises ConfigError with everything that is wrong with it."""
    problems = policy_problems(path, str(path), _SCHEMAS)
    if problems:
        raise ConfigError(problems)
    schema = _SCHEMAS.read("policy")
    content = fill(read_yaml(path), schema)
    entry_schema = schema.properties["tasks"].items
    content["tasks"] = [fill(entry, entry_schema) for entry in content["tasks"]]
    file = msgspec.convert(content, _File, strict=False)
    return Policy(
        path=path,
        sha256=sha256_hex(path.read_bytes()),
        demands=tuple(_demand(entry, file.tiers[entry.tier]) for entry in file.tasks),
        allowed_failures=file.tiers[SUPPORTING].allowed_failures,
        fail_on=file.fail_on,
    )


def _demand(entry: _Entry, tier: _Tier) -> Demand:
    # An entry with a limit of its own has no other: a tier's absolute limit would make a wider relative one void.
    limits: _Limits = entry if entry.max_drop is not None or entry.max_relative_drop is not None else tier
    return Demand(entry.match, entry.tier, limits.max_drop, limits.max_relative_drop, tier.when_unsure)
