"""What the tests' end says of those that were left out."""

from typing import Any

import pytest
from left_out import lines_about, refuse_in_ci


def _report(nodeid: str, reason: str, **more: Any) -> pytest.TestReport:
    longrepr = (nodeid.partition("::")[0], 1, f"Skipped: {reason}")
    return pytest.TestReport(nodeid, ("", 1, ""), {}, "skipped", longrepr, "setup", **more)


def test_each_reason_is_one_line_with_its_count() -> None:
    reports = [_report(f"tests/cluster/test_{name}.py::test", "no Slurm; so") for name in "ab"]
    reports.append(_report("tests/rules/test_podman.py::test[x/y]", "no podman; so"))
    assert lines_about(reports) == [
        "left out: 2 tests of tests/cluster: no Slurm; so",
        "left out: 1 test of tests/rules: no podman; so",
    ]
    assert lines_about([]) == []


@pytest.mark.parametrize(("variable", "outcome"), [("true", "failed"), ("", "skipped")])
def test_ci_leaves_nothing_out(monkeypatch: pytest.MonkeyPatch, variable: str, outcome: str) -> None:
    monkeypatch.setenv("CI", variable)
    report = _report("tests/cluster/test_a.py::test", "no Slurm; so")
    refuse_in_ci(report)
    assert report.outcome == outcome
    assert "no Slurm; so" in str(report.longrepr)


def test_an_expected_failure_is_not_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    report = _report("tests/rules/test_a.py::test", "known", wasxfail="known")
    refuse_in_ci(report)
    assert report.outcome == "skipped"
