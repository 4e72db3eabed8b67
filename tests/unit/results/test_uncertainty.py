"""Samples become scores, and scores the uncertainty of metrics."""

import gzip
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import make_metric, make_outcome
from snakeval.errors import HarnessError
from snakeval.results.samples import Sample, SampleTable, read_samples, read_table, write_samples
from snakeval.results.uncertainty import with_uncertainty


def _sample(doc_id: int, score: float, metric: str = "exact_match[none]", **keys: Any) -> dict[str, Any]:
    return {"task": "sums", "doc_id": doc_id, "repeat": 0, "metrics": {metric: score}, **keys}


def _table(lines: Iterable[dict[str, Any]]) -> SampleTable:
    return read_table(map(Sample.of, lines))


def test_samples_explain_a_metric_only_when_they_make_its_value() -> None:
    table = _table([_sample(number, float(number < 3)) for number in range(4)])
    metric = make_metric("exact_match", 0.75)
    scores = table.scores(metric)
    assert scores is not None and scores.plain and scores.binary
    assert table.scores(replace(metric, value=0.5)) is None
    assert table.scores(replace(metric, n=5)) is None
    assert table.scores(replace(metric, name="f1")) is None
    assert table.scores(replace(metric, filter="strict")) is None
    assert table.scores(replace(metric, subtask="hard")) is None
    assert table.scores(replace(metric, subtask="sums")) is not None


def test_a_program_may_name_the_metric_without_a_filter() -> None:
    table = _table([_sample(0, 1.0, "accuracy"), _sample(1, 0.0, "accuracy")])
    assert table.scores(make_metric("accuracy", 0.5, n=2)) is not None
    assert table.scores(make_metric("accuracy", 0.5, n=2, filter="strict")) is None


def test_samples_of_any_form_are_passed_over() -> None:
    odd: list[dict[str, Any]] = [{}, {"doc_id": 1}, {"doc_id": True, "metrics": {"a": 1}}]
    odd.append({"doc_id": 2, "metrics": {"a": "high", "b": None}})
    assert _table(odd).answers == {}
    assert _table([{"doc_id": 3, "metrics": {"a": float("nan")}}]).answers == {}


def test_right_or_wrong_answers_get_wilsons_interval_and_the_value_stays() -> None:
    table = _table([_sample(number, float(number < 3)) for number in range(4)])
    metric = with_uncertainty(make_outcome(make_metric(stderr=None)), table).metrics[0]
    assert (metric.value, metric.ci_method) == (0.75, "wilson")
    assert (metric.stderr, metric.ci_low, metric.ci_high) == pytest.approx((0.25, 0.3006, 0.9544), abs=1e-4)


def test_repeats_give_pass_at_k() -> None:
    right = [[1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0]]
    samples = [
        _sample(doc, float(one), repeat=number) for doc, row in enumerate(right) for number, one in enumerate(row)
    ]
    metrics = with_uncertainty(make_outcome(make_metric(value=7 / 16)), _table(samples)).metrics
    # Of the six pairs of four answers, 5, 0, 6 and 3 hold a right one.
    assert {metric.name: metric.value for metric in metrics} == {
        "exact_match": 7 / 16,
        "exact_match_pass@2": pytest.approx(14 / 24),
        "exact_match_pass@4": 0.75,
    }
    assert [metric.ci_method for metric in metrics] == ["wilson", "bootstrap", "wilson"]
    assert all(metric.n == 4 for metric in metrics)
    lower = make_outcome(make_metric(value=7 / 16, higher_is_better=False))
    assert len(with_uncertainty(lower, _table(samples)).metrics) == 1


def test_questions_of_one_group_are_not_independent() -> None:
    samples = [_sample(number, float(number % 8 < 4), group=number // 4) for number in range(40)]
    alone = [{key: value for key, value in sample.items() if key != "group"} for sample in samples]
    outcome = make_outcome(make_metric(value=0.5, n=40), asked=40, answered=40)
    grouped, apart = (with_uncertainty(outcome, _table(one)).metrics[0] for one in (samples, alone))
    assert grouped.stderr is not None and apart.stderr is not None
    assert grouped.stderr == pytest.approx(apart.stderr * 2, rel=0.1)
    assert grouped.ci_low is not None and apart.ci_low is not None and grouped.ci_low < apart.ci_low


def test_without_samples_the_harness_standard_error_counts() -> None:
    binomial, normal = make_metric(stderr=0.25), make_metric("bleu", 31.0, stderr=2.0)
    metrics = with_uncertainty(make_outcome(binomial, normal, make_metric("perplexity", 9.0, stderr=None)), _table([]))
    assert [(one.stderr, one.ci_method) for one in metrics.metrics] == [(0.25, "wilson"), (2.0, "normal"), (None, None)]


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl.gz"
    assert list(read_samples(path)) == []
    write_samples(path, iter([{"doc_id": 0}, {"doc_id": 1}]))
    assert list(read_samples(path)) == [Sample.of({"doc_id": 0}), Sample.of({"doc_id": 1})]
    path.write_bytes(path.read_bytes()[:-6])
    with pytest.raises(HarnessError, match="is damaged"):
        list(read_samples(path))
    path.write_bytes(gzip.compress(b"{"))
    with pytest.raises(HarnessError, match="is damaged"):
        list(read_samples(path))
    path.write_bytes(gzip.compress(json.dumps([1]).encode()))
    with pytest.raises(HarnessError, match="is damaged"):
        list(read_samples(path))
