"""docs/answers.md has the table of kinds as the gateway uses it."""

import re

from snakeval.gateway.kinds import DEFAULTS, Kind
from workspace import REPOSITORY


def test_the_table_of_kinds_is_that_of_the_gateway() -> None:
    text = (REPOSITORY / "docs" / "answers.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z -]+)` \| .+ \| ([a-z ]+) \|$", text, re.MULTILINE)
    assert rows == [(kind.value, DEFAULTS[kind].value) for kind in Kind]
