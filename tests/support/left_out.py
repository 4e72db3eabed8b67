"""What a machine cannot run is left out of the tests with a word, and said at their end; CI leaves nothing out.

A test that misses something calls `pytest.skip` with what is missing and how to get it.
"""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import PurePath

import pytest

VARIABLE = "CI"


def reason_of(report: pytest.TestReport) -> str:
    """Return why a test was left out."""
    # A tuple of file, line and "Skipped: reason", or the reason of an expected failure.
    said = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return said.removeprefix("Skipped: ")


def refuse_in_ci(report: pytest.TestReport) -> None:
    """Make a test that was left out one that has failed, where the environment says that this is CI."""
    if os.environ.get(VARIABLE) and report.skipped and not hasattr(report, "wasxfail"):
        reason = reason_of(report)
        report.outcome = "failed"
        report.longrepr = f"left out, and {VARIABLE} leaves nothing out: {reason}"


def lines_about(reports: Iterable[pytest.TestReport]) -> list[str]:
    """Return one line for each reason: how many tests of which folder were left out for it."""
    counts = Counter((str(PurePath(report.nodeid.partition("::")[0]).parent), reason_of(report)) for report in reports)
    return [
        f"left out: {count} test{'s' if count > 1 else ''} of {folder}: {reason}"
        for (folder, reason), count in sorted(counts.items())
    ]
