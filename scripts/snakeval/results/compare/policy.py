"""A gate's policy: which tasks count, how much worse they may be, and what doubt means."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from snakeval.config.comparisons import policy_problems
from snakeval.config.reading.schema import Schema, fill
from snakeval.config.reading.schema_files import Schemas
from snakeval.config.reading.tree import Node
from snakeval.config.reading.yamlfile import read_yaml
from snakeval.errors import ConfigError
from snakeval.system.checkout import SCHEMAS

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


def read_policy(path: Path) -> Policy:
    """Read a policy file; raises ConfigError with everything that is wrong with it."""
    problems = policy_problems(path, str(path), _SCHEMAS)
    if problems:
        raise ConfigError(problems)
    schema = _SCHEMAS.read("policy")
    content = fill(read_yaml(path), schema)
    return Policy(
        path=path,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        demands=tuple(_demands(content, schema)),
        allowed_failures=content["tiers"][SUPPORTING]["allowed_failures"],
        fail_on=tuple(content["fail_on"]),
    )


def _demands(content: Node, schema: Schema) -> Iterator[Demand]:
    for entry in content["tasks"]:
        own = fill(entry, schema.properties["tasks"].items)
        tier = content["tiers"][own["tier"]]
        # An entry with a limit of its own has no other: a tier's absolute limit would make a wider relative one void.
        limits = own if own["max_drop"] is not None or own["max_relative_drop"] is not None else tier
        yield Demand(own["match"], own["tier"], limits["max_drop"], limits["max_relative_drop"], tier["when_unsure"])
