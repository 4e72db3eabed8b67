"""The errors that Snakeval raises, and the one form in which users read them."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One finding, printed as four lines: what and where, got, expected, hint.

    Attributes:
        where: File, and dotted path in it, e.g. "config/config.yaml: deployment.port".
        what: What is wrong, a clause that follows `where`, e.g. "is not a known key".
        got: What was found, already as text.
        expected: What is allowed.
        hint: What to do next.
    """

    where: str
    what: str
    got: str
    expected: str
    hint: str

    def __str__(self) -> str:
        return (
            f"error: {self.where} {self.what}\n"
            f"  got:      {self.got}\n"
            f"  expected: {self.expected}\n"
            f"  hint:     {self.hint}"
        )


class SnakevalError(Exception):
    """Base of every error that is meant for users."""


class ConfigError(SnakevalError):
    """The configuration is wrong; `problems` holds every finding at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n\n".join(str(problem) for problem in self.problems))


class UsageError(SnakevalError):
    """A command was asked for something that is not there."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(str(problem))


class ExtensionError(SnakevalError):
    """A backend, a harness, a format, a deployment type or a subcommand is named, and is wrong or incomplete."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(str(problem))


class DeploymentError(SnakevalError):
    """A server could not be started or is gone (infrastructure, worth a retry)."""


class EndpointError(SnakevalError):
    """An endpoint does not answer as it must (infrastructure, worth a retry)."""


class HarnessError(SnakevalError):
    """A task could not be scored: its harness failed or left samples unanswered."""


class GateError(SnakevalError):
    """A comparison does not pass its gate."""


class ExportError(SnakevalError):
    """Results could not be brought into a format or to a tracker."""
