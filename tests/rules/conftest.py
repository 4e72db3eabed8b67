"""Harnesses that are imported once for many tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from runner_bench import Preloaded


def _preloaded(python: Path, runner: str, factory: pytest.TempPathFactory, *modules: str) -> Iterator[Preloaded]:
    made = Preloaded(python, runner, factory.mktemp(runner), *modules)
    yield made
    made.close()


@pytest.fixture(scope="session")
def preloaded_lm_eval(lm_eval_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Preloaded]:
    """The runner of lm-eval."""
    yield from _preloaded(lm_eval_python, "snakeval_runners.lm_eval", tmp_path_factory)


@pytest.fixture(scope="session")
def preloaded_inspect(inspect_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Preloaded]:
    """The runner of Inspect."""
    yield from _preloaded(inspect_python, "snakeval_runners.inspect", tmp_path_factory)


@pytest.fixture(scope="session")
def preloaded_inspect_evals(
    inspect_evals_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Preloaded]:
    """The runner of Inspect where inspect_evals is installed."""
    yield from _preloaded(inspect_evals_python, "snakeval_runners.inspect", tmp_path_factory, "inspect_evals._registry")
