"""The table of harnesses: every entry is complete, and what is not is told when it is used."""

from dataclasses import replace

import pytest
from builders import make_config, make_task
from snakeval import harnesses
from snakeval.errors import ExtensionError
from snakeval.harnesses import HARNESSES, harness_of
from snakeval.harnesses.availability import harness_problems


@pytest.mark.parametrize("name", HARNESSES)
def test_every_harness_is_complete(name: str) -> None:
    assert harness_of(name)


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("snakeval.harnesses.toy:Toy", "toy names a module that is not there"),
        ("snakeval.harnesses.runner:Toy", "toy names what its module does not have"),
        ("snakeval.harnesses.base:Outcome", "toy names a class without a method of its contract"),
    ],
)
def test_what_is_incomplete_is_told_before_anything_is_started(
    monkeypatch: pytest.MonkeyPatch, reference: str, words: str
) -> None:
    monkeypatch.setattr(harnesses, "HARNESSES", {**HARNESSES, "toy": reference})
    monkeypatch.setattr("snakeval.harnesses.availability.HARNESSES", {**HARNESSES, "toy": reference})
    config = make_config(tasks=(make_task(), replace(make_task("one", harness="own"), module="toy")))
    (problem,) = harness_problems(config)
    assert words in str(problem)
    with pytest.raises(ExtensionError, match=words):
        harness_of("toy")


def test_a_name_that_is_not_in_the_table_is_told() -> None:
    with pytest.raises(ExtensionError, match="has no entry for a harness"):
        harness_of("toy")
