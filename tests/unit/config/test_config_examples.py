"""The committed configurations load."""

from pathlib import Path

import pytest
from snakeval.config import load_config
from snakeval.system.checkout import ROOT


@pytest.mark.parametrize("example", sorted((ROOT / "config/examples").glob("*.yaml")), ids=lambda path: path.stem)
def test_examples_load(example: Path) -> None:
    config = load_config([example], {}, ROOT, {}, check_environ=False)
    assert config.run == example.stem
    assert config.tasks


def test_committed_default_config_loads() -> None:
    config = load_config([], {}, ROOT, {})
    assert [task.name for task in config.tasks] == ["boolean_expressions", "arithmetic_2digit", "antonyms"]
    assert config.deployments[0].name == "smollm2-135m-instruct"
