"""What a user is told of a server that ended before it was ready: its last lines, earlier errors, what they mean."""

import re
from pathlib import Path

from snakeval.config.model import Deployment, Execution
from snakeval.deployments.containers import failure_hint
from snakeval.deployments.types import startup_hint
from snakeval.system.files import last_lines

LINES_OF_A_START = 1000
MAX_EARLIER = 3
MAX_LINE = 600
_START = re.compile(r"^\[supervisor [^]]*\] start \d+:", re.MULTILINE)
# Engines of several processes end with "see above": the cause is the last line of another process's traceback, which
# begins the line, or what follows the log's own "(process) ERROR time [module] ".
_CAUSE = re.compile(r"^(?:.*\] +)?([\w.]+(?:Error|Exception): +\S.*)", re.MULTILINE)


def failed_start(deployment: Deployment, execution: Execution, reason: str, tail: str, log: Path) -> str:
    """Return the message.

    Args:
        deployment: What was to be served.
        execution: Where.
        reason: How the server ended.
        tail: The last lines of its log.
        log: The log, for errors above them; absent where it is kept elsewhere.
    """
    written = _START.split(last_lines(log, LINES_OF_A_START))[-1] if log.exists() else tail
    parts = [f"the server of {deployment.name} did not start: {reason}; the end of {log}:\n{_cut(tail)}"]
    earlier = _earlier_errors(written, tail)
    if earlier:
        parts.append("errors above that:\n" + _cut("\n".join(earlier)))
    hints = [startup_hint(deployment, f"{reason}\n{written}"), failure_hint(deployment, execution, tail)]
    parts += [f"hint: {hint}" for hint in hints if hint]
    return "\n".join(parts)


def _earlier_errors(written: str, tail: str) -> list[str]:
    found = [match[1] for match in _CAUSE.finditer(written)]
    return [error for error in dict.fromkeys(found) if error not in tail][-MAX_EARLIER:]


def _cut(text: str) -> str:
    """Shorten lines such as a list of all architectures that an engine knows."""
    return "\n".join(line if len(line) <= MAX_LINE else line[:MAX_LINE] + " ..." for line in text.splitlines())
