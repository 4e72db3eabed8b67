"""The gateway of a task, as far as it needs no process."""

import pytest
from snakeval.evaluation.harness_process import without_proxy


@pytest.mark.parametrize(
    ("given", "lower", "upper"),
    [
        ({}, "127.0.0.1,localhost", "127.0.0.1,localhost"),
        ({"NO_PROXY": "corp"}, "corp,127.0.0.1,localhost", "corp,127.0.0.1,localhost"),
        ({"no_proxy": "a", "NO_PROXY": "b"}, "a,127.0.0.1,localhost", "b,127.0.0.1,localhost"),
        ({"no_proxy": "*"}, "*", "*"),
    ],
)
def test_no_proxy_leads_to_the_gateway_and_others_stay(given: dict[str, str], lower: str, upper: str) -> None:
    assert without_proxy(given) == {"no_proxy": lower, "NO_PROXY": upper}
