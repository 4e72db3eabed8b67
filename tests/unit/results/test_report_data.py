"""What the report is made of: samples picked and packed, phases of servers, failures with their cause."""

import gzip
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import make_metric
from hypothesis import given, settings
from hypothesis import strategies as st
from report_runs import comparison, make_run
from snakeval.harnesses.base import Metric
from snakeval.results.report.data import gather
from snakeval.results.report.samples import (
    BETWEEN,
    MOST_CHARACTERS,
    MOST_SAMPLES,
    RIGHT,
    UNSCORED,
    WRONG,
    Picked,
    Source,
    decode,
    pack,
    pick,
    state_of,
)
from snakeval.results.report.timings import Life, Phases, covered, life_told_by, make_phases, speed_of
from snakeval.results.result import read_result
from snakeval.results.samples import Sample
from snakeval.run.deployment import ServerTeardown
from snakeval.run.paths import RunPaths
from snakeval.system.files import write_json
from workspace import REPOSITORY

METRIC = make_metric("acc", 0.5, filter=None, stderr=None)


def _sample(number: int, score: float | None, **more: Any) -> dict[str, Any]:
    metrics = {} if score is None else {"acc": score}
    return {"task": "sums", "doc_id": number, "prompt": f"what is {number}?", "metrics": metrics, **more}


def _pick(lines: Sequence[dict[str, Any]], metric: Metric, most: int = MOST_SAMPLES) -> Picked:
    return pick(map(Sample.of, lines), metric, most)


def _write(path: Path, samples: list[dict[str, Any]]) -> Path:
    with gzip.open(path, "wt", encoding="utf-8") as stream:
        stream.writelines(json.dumps(one) + "\n" for one in samples)
    return path


@pytest.mark.parametrize(
    ("score", "higher_is_better", "state"),
    [
        (1.0, True, RIGHT),
        (1.0, None, RIGHT),
        (0.0, True, WRONG),
        (0.0, False, RIGHT),
        (1.0, False, WRONG),
        (0.5, True, BETWEEN),
        (37.0, False, BETWEEN),
        (None, True, UNSCORED),
    ],
)
def test_what_a_score_means(score: float | None, higher_is_better: bool | None, state: str) -> None:
    assert state_of(score, higher_is_better) == state


def test_the_worst_come_first_and_all_are_counted() -> None:
    scores = [1.0, 0.0, None, 0.5, 0.0, 1.0]
    found = _pick([_sample(number, score) for number, score in enumerate(scores)], METRIC, most=4)
    assert [(one.state, one.shown.doc_id) for one in found.samples] == [
        (WRONG, "1"),
        (WRONG, "4"),
        (BETWEEN, "3"),
        (RIGHT, "0"),
    ]
    assert found.counts == {WRONG: 2, BETWEEN: 1, RIGHT: 2, UNSCORED: 1}
    assert found.total == 6


def test_less_is_better_turns_the_order() -> None:
    found = _pick([_sample(0, 0.2), _sample(1, 0.9)], replace(METRIC, higher_is_better=False))
    assert [one.shown.doc_id for one in found.samples] == ["1", "0"]


def test_the_filter_of_the_metric_chooses_the_score() -> None:
    sample = {"doc_id": 0, "metrics": {"acc[strict]": 0.0, "acc": 1.0}}
    assert _pick([sample], replace(METRIC, filter="strict")).counts == {WRONG: 1}
    assert _pick([sample], replace(METRIC, filter="loose")).counts == {UNSCORED: 1}
    assert _pick([sample], METRIC).counts == {RIGHT: 1}


@pytest.mark.parametrize("sample", [{}, {"metrics": 3}, {"metrics": {"acc": "high"}}, {"metrics": {"acc": None}}])
def test_samples_of_own_programs_may_have_any_form(sample: dict[str, Any]) -> None:
    assert _pick([sample], METRIC).counts == {UNSCORED: 1}


def test_long_texts_lose_their_middle_and_say_so(tmp_path: Path) -> None:
    text = "a" * MOST_CHARACTERS + "middle" + "z" * MOST_CHARACTERS
    file = _write(tmp_path / "samples.jsonl.gz", [_sample(0, 0.0, answer=text, expected={"b": [1, 2]})])
    content = decode(pack([Source("a", file, [METRIC])], 10**6).text)
    answer = content["samples"][0][5]
    assert answer.startswith("aaa") and answer.endswith("zzz")
    assert f"[... {MOST_CHARACTERS + 6} characters left out ...]" in answer
    assert content["questions"] == [["sums", "0", "what is 0?", '{"b": [1, 2]}']]


def test_what_deployments_share_is_packed_once(tmp_path: Path) -> None:
    files = [
        _write(tmp_path / name, [_sample(number, 0.0, answer=f"{name} {number}") for number in range(3)])
        for name in "ab"
    ]
    packed = pack([Source(file.name, file, [METRIC]) for file in files], 10**6)
    content = decode(packed.text)
    assert (packed.shown, packed.total) == (6, 6)
    assert len(content["questions"]) == 3
    assert [(row[0], row[1], row[5]) for row in content["samples"]] == [
        (place, number, f"{name} {number}") for place, name in enumerate("ab") for number in range(3)
    ]
    assert [one["counts"] for one in content["deployments"]] == [{WRONG: 3}] * 2


@settings(max_examples=20)
@given(budget=st.integers(1_000, 40_000))
def test_the_budget_holds_and_the_worst_stay(budget: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.getbasetemp() / "budget.jsonl.gz"
    if not file.exists():
        answers = [f"{number * 7919 % 104729:x}" * 20 for number in range(300)]
        _write(file, [_sample(number, float(number >= 100), answer=text) for number, text in enumerate(answers)])
    packed = pack([Source("a", file, [METRIC])], budget)
    content = decode(packed.text)
    assert len(packed.text) <= budget
    assert packed.total == 300
    assert packed.shown == len(content["samples"])
    assert [content["questions"][row[1]][1] for row in content["samples"]] == [str(n) for n in range(packed.shown)]
    assert content["deployments"][0]["counts"] == {WRONG: 100, RIGHT: 200}


def test_equal_samples_make_equal_bytes(tmp_path: Path) -> None:
    file = _write(tmp_path / "samples.jsonl.gz", [_sample(0, 0.0, answer="\ud800")])
    source = Source("a", file, [METRIC])
    assert pack([source], 10**6) == pack([source], 10**6)
    assert decode(pack([source], 10**6).text)["samples"][0][5] == "\ud800"


def test_a_damaged_file_is_told_and_what_could_be_read_is_shown(tmp_path: Path) -> None:
    # Numbers that do not compress, so that a part of the file holds a part of the samples.
    many = [_sample(number, 0.0, answer=str(number**9)) for number in range(9000)]
    file = _write(tmp_path / "samples.jsonl.gz", many)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    content = decode(pack([Source("a", file, [METRIC])], 10**6).text)
    assert "is damaged" in content["deployments"][0]["damage"]
    assert 0 < content["deployments"][0]["counts"][WRONG] < 9000
    assert content["samples"]


def test_no_samples_are_no_error(tmp_path: Path) -> None:
    packed = pack([Source("a", tmp_path / "none.gz", [METRIC])], 10**6)
    assert (packed.shown, packed.total) == (0, 0)
    assert decode(packed.text)["deployments"][0]["metrics"] == [[None, "acc", 0.5, None, None, None, 4]]


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [([], 0), ([(0, 10)], 10), ([(0, 10), (5, 15)], 15), ([(20, 30), (0, 10)], 20), ([(0, 10), (2, 3)], 10)],
)
def test_covered_time(spans: list[tuple[float, float]], seconds: float) -> None:
    assert covered(spans) == seconds


def test_the_phases_of_a_server_add_up_to_its_life() -> None:
    found = make_phases("a", Life(100.0, 130.0, 200.0, 1), [(135.0, 150.0), (140.0, 160.0), (170.0, 180.0)])
    assert found == Phases("a", 30.0, 5.0, 35.0, 30.0, 45.0, 1)
    assert sum(seconds for _, seconds in found.parts()) == 100.0


def test_tasks_of_an_earlier_start_are_no_part_of_this_one() -> None:
    found = make_phases("a", Life(100.0, 130.0, 200.0), [(10.0, 50.0), (140.0, 150.0)])
    assert found == Phases("a", 30.0, 10.0, 10.0, 50.0, 50.0, None)


def test_times_of_the_record_of_teardown() -> None:
    teardown = ServerTeardown(
        "a",
        "generic",
        "2026-11-25T00:03:00+00:00",
        started_at="2026-11-25T00:00:00+00:00",
        ready_at="2026-11-25T00:01:00+00:00",
        updated_at="2026-11-25T00:02:00+00:00",
    )
    assert make_phases("a", life_told_by(teardown), []) == Phases("a", 60.0, 60.0, 0.0, 0.0, 0.0, None)


def test_what_is_not_known_has_no_phase() -> None:
    assert make_phases("a", Life(), []).parts() == []
    assert make_phases("a", Life(), [(0.0, 5.0)]).parts() == [("evaluate", 5.0)]
    assert make_phases("a", Life(1.0, None, 9.0), []).parts() == []


def test_answers_that_were_resumed_took_no_time(tmp_path: Path) -> None:
    make_run(tmp_path, ["a"], ["sums"])
    result = read_result(RunPaths(tmp_path / "demo").task("a", "sums").result)
    assert result is not None
    assert speed_of(result).per_second(120) == 2.0
    result = replace(result, requests=replace(result.requests, sent=10, resumed=30))
    assert speed_of(result).per_second(120) == 0.5
    assert speed_of(result).per_second(None) is None


def test_missing_tasks_have_their_cause(tmp_path: Path) -> None:
    config = make_run(tmp_path, missing=[("beta", "words")])
    paths = RunPaths(tmp_path / "demo")
    paths.task("alpha", "sums").result.write_text("{", encoding="utf-8")
    report = gather(config, [])
    assert {(one.deployment, one.task) for one in report.failures} == {("alpha", "sums"), ("beta", "words")}
    broken, died = report.failures
    assert "is not JSON" in broken.reason
    assert died.reason == "the server of it died while the task ran"
    assert died.log == paths.task("beta", "words").log
    assert died.excerpt.endswith("error: the server died")
    assert [one.value is None for one in report.scores] == [True, False, False, False, True, False]
    assert report.lock is None


def test_a_task_that_was_not_begun_and_one_that_only_has_a_log(tmp_path: Path) -> None:
    config = make_run(tmp_path, ["a"], ["one", "two"], missing=[("a", "one"), ("a", "two")])
    paths = RunPaths(tmp_path / "demo")
    for task in ("one", "two"):
        paths.task("a", task).attempt.unlink()
    paths.task("a", "one").log.unlink()
    reasons = [one.reason for one in gather(config, []).failures]
    assert reasons == ["it was not begun", "the server died"]


def test_a_killed_attempt_is_no_success(tmp_path: Path) -> None:
    config = make_run(tmp_path, ["a"], ["one"], missing=[("a", "one")])
    attempt = RunPaths(tmp_path / "demo").task("a", "one").attempt
    write_json(attempt, json.loads(attempt.read_text(encoding="utf-8")) | {"course": "interrupted", "reason": None})
    assert [one.reason for one in gather(config, []).failures] == ["interrupted"]


def test_a_whole_run(tmp_path: Path) -> None:
    config = make_run(tmp_path)
    compared = tmp_path / "compared.json"
    write_json(compared, comparison() | {"gate": None, "deployment_differences": []})
    report = gather(config, [compared, tmp_path / "not there.json"])
    assert report.failures == ()
    assert [one.name for one in report.comparisons] == ["beta-vs-alpha"]
    assert report.lock is not None and "alpha/sums" in report.lock
    assert {(one.deployment, one.metric, one.n) for one in report.scores_of("sums")} == {
        ("alpha", "exact_match", 40),
        ("beta", "exact_match", 40),
    }
    assert [one.parts() for one in report.phases] == [
        [("load", 15.0), ("ready", 5.0), ("evaluate", 180.0), ("idle", 10.0)]
    ] * 2


def test_the_library_of_charts_is_loaded_by_the_page_alone() -> None:
    """It takes a second to import, and the Snakefile is read by every job."""
    names = "snakeval.results.report.data, snakeval.results.report.samples, snakeval.results.report.timings, "
    names += "snakeval.results.summary, rules.report"
    program = f"import sys; import {names}; sys.exit('altair' in sys.modules or 'vl_convert' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY / "scripts", timeout=60, check=False, capture_output=True
    )
    assert done.returncode == 0, done.stderr
