"""A key that no request can carry is told when the configuration is loaded, and is never shown."""

from pathlib import Path

import pytest
from config_workflow import Workflow, make_workflow
from snakeval.errors import ConfigError

TEXT = """
deployment: {type: none, url: 'http://h/v1', model_id: m, api_key_name: MY_KEY}
evaluation: {tasks: [colours]}
"""


@pytest.fixture
def workflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workflow:
    monkeypatch.chdir(tmp_path)
    return make_workflow(tmp_path)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("planted\r", "character 8 of MY_KEY cannot stand in a header"),
        ("plan\nted", "character 5 of MY_KEY"),
        ("planted\u2014", "character 8 of MY_KEY"),
        ("pl\x7fanted", "character 3 of MY_KEY"),
        (" planted", "a space at an end of MY_KEY"),
        ("", "names a variable that is empty"),
    ],
)
def test_a_key_that_no_header_can_carry(workflow: Workflow, key: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        workflow.load(TEXT, environ={"MY_KEY": key})
    assert said in str(raised.value)
    assert "deployment.api_key_name" in str(raised.value)
    assert "planted" not in str(raised.value)


def test_usual_keys_are_fine(workflow: Workflow) -> None:
    for key in ("sk-abc_1.2~", "two words", "x" * 500):
        workflow.load(TEXT, environ={"MY_KEY": key})
