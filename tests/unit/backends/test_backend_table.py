"""The table of backends: every entry is complete, and what is not is told when it is used."""

from dataclasses import replace

import pytest
from builders import make_config, make_execution
from snakeval import backends
from snakeval.backends import BACKENDS, Parts, backend_of, backend_problems, beside, load_parts
from snakeval.config.model import Config
from snakeval.errors import ExtensionError


def _config(type: str) -> Config:
    return replace(make_config(), execution=make_execution(type=type))


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> dict[str, Parts]:
    """The table, with changes that last as long as a test."""
    changed = dict(BACKENDS)
    monkeypatch.setattr(backends, "BACKENDS", changed)
    return changed


@pytest.mark.parametrize("name", BACKENDS)
def test_every_backend_is_complete(name: str) -> None:
    load_parts(name)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (None, "has no entry for an execution type"),
        (Parts("snakeval.backends.toy:Toy"), "toy.backend names a module that is not there"),
        (Parts("snakeval.backends.lepton.keeper:Keeper"), "toy.backend names a class without a method of its contract"),
        (replace(BACKENDS["local"], attendant="snakeval.backends.local:X"), "toy.attendant names what its module"),
        (replace(BACKENDS["local"], leftovers="snakeval.backends.local:LocalBackend"), "toy.leftovers names a class"),
        (replace(BACKENDS["local"], problems="snakeval.backends.base:Leftover"), "toy.problems names no function"),
    ],
)
def test_what_is_incomplete_is_told_before_anything_is_started(
    table: dict[str, Parts], parts: Parts | None, words: str
) -> None:
    if parts:
        table["toy"] = parts
    (problem,) = backend_problems(_config("toy"))
    assert problem.where.startswith("scripts/snakeval/backends/__init__.py")
    assert words in str(problem)


def test_what_is_incomplete_is_told_when_it_is_used(table: dict[str, Parts]) -> None:
    table["toy"] = Parts("snakeval.backends.local:Nothing")
    with pytest.raises(ExtensionError, match="names what its module does not have"):
        backend_of(_config("toy"))
    with pytest.raises(ExtensionError, match=r"local\.beside says of no class"):
        beside(_config("local"), "12")
