"""The table of formats: every entry has what writes it, and what has not is told, never an export without files."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import make_config
from export_bench import export, make_run
from snakeval.config.model import Export
from snakeval.config.reading.schema import Schema
from snakeval.config.reading.schema_files import Schemas
from snakeval.config.reading.tree import Node
from snakeval.errors import ExtensionError
from snakeval.results.exports import formats
from snakeval.results.exports.programs import export_problems, format_problems
from snakeval.system.checkout import SCHEMAS


@pytest.mark.parametrize("name", formats())
def test_every_format_is_complete(name: str) -> None:
    assert format_problems(name) == []


def test_the_configuration_knows_the_formats_of_the_table() -> None:
    known = Schemas(SCHEMAS).read("export").properties
    assert {*known["formats"].items.choices, *known} - {"formats"} == set(formats())


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({}, "schemas/export.schema.yaml: toy.x-writer is missing"),
        ({"x-writer": "snakeval.results.exports.toy:write"}, "names a module that is not there"),
        ({"x-writer": "snakeval.results.exports.tables:as_csv"}, "names no function that takes the arguments"),
        (
            {"x-writer": "snakeval.results.exports.tables:write_csv", "x-environment": "export-toy"},
            "toy.x-environment names an environment that is not there",
        ),
    ],
)
def test_a_format_without_what_writes_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: dict[str, Any], words: str
) -> None:
    table = {**formats(), "toy": Schema(Node({"const": "toy", **entry}))}
    for module in ("", ".programs"):
        monkeypatch.setattr(f"snakeval.results.exports{module}.formats", lambda: table)
    (problem,) = export_problems(replace(make_config(), exports=(Export("toy", Node({})),)))
    assert words in str(problem)
    if "x-environment" not in entry:
        run = make_run(tmp_path)
        with pytest.raises(ExtensionError, match="toy"):
            export(run, "toy")
