"""The schemas are JSON Schema 2020-12, complete, documented, and what they refuse is worded for users."""

import math
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from dev import generate_config_reference
from hypothesis import given
from hypothesis import strategies as st
from snakeval.config.reading.schema import Schema, fill
from snakeval.config.reading.schema_files import Schemas, load_schema
from snakeval.config.reading.tree import Node
from snakeval.config.reading.validate import check
from snakeval.config.reading.yamlfile import read_yaml
from snakeval.system.checkout import ROOT

SCHEMAS = ROOT / "schemas"
_KINDS = ("config", "evaluation", "task", "target", "compare", "export", "policy", "lepton-config", "harness")
FILES = [SCHEMAS / f"{name}.schema.yaml" for name in _KINDS]
FILES += sorted((SCHEMAS / "execution").glob("*.yaml")) + sorted((SCHEMAS / "deployment").glob("*.yaml"))


def _objects(schema: Any) -> list[dict[str, Any]]:
    if isinstance(schema, list):
        return [found for item in schema for found in _objects(item)]
    if not isinstance(schema, dict):
        return []
    own = [schema] if "properties" in schema else []
    return own + [found for item in schema.values() for found in _objects(item)]


@pytest.mark.parametrize("file", FILES, ids=lambda path: str(path.relative_to(SCHEMAS)))
def test_schema_is_valid_and_documented(file: Path) -> None:
    raw = read_yaml(file)
    jsonschema.Draft202012Validator.check_schema(raw)
    assert raw["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    resolved = load_schema(file)
    assert file.stem == "common.schema" or resolved.node["additionalProperties"] is False
    for schema in _objects(resolved.node):
        for name, part in schema["properties"].items():
            assert part.get("description", "").endswith("."), name
            assert "type" in part, name
            given = "default" in part or name in schema.get("required", ()) or name == "api_endpoint"
            assert given, f"{name} has no default and is not required"
            if "default" in part:
                assert check(part["default"], Schema(part), str) == [], name
            for example in part.get("examples", ()):
                assert check(example, Schema(part), str) == [], name
            assert "pattern" not in part or "x-form" in part, name


@pytest.mark.parametrize("file", FILES, ids=lambda path: str(path.relative_to(SCHEMAS)))
def test_no_part_names_another_validator(file: Path) -> None:
    assert all("$schema" not in part for part in _objects(load_schema(file).node))


@pytest.mark.parametrize("file", sorted(SCHEMAS.rglob("*.yaml")), ids=lambda path: str(path.relative_to(SCHEMAS)))
def test_no_comma_cuts_a_description(file: Path) -> None:
    # In {description: One, two.} the text ends at the comma; the rest becomes a key without a value.
    assert [key for key in _keys_without_value(read_yaml(file)) if key != "default"] == []


def _keys_without_value(node: Any) -> list[str]:
    if isinstance(node, list):
        return [key for item in node for key in _keys_without_value(item)]
    if not isinstance(node, dict):
        return []
    own = [key for key, value in node.items() if value is None]
    return own + [key for value in node.values() for key in _keys_without_value(value)]


def test_readme_tables_are_up_to_date() -> None:
    readme = (ROOT / "config/README.md").read_text(encoding="utf-8")
    assert generate_config_reference.updated(readme, generate_config_reference.reference(SCHEMAS)) == readme


def test_readme_names_every_key() -> None:
    readme = (ROOT / "config/README.md").read_text(encoding="utf-8")
    for file in FILES:
        for name in load_schema(file).properties:
            assert f"{name}`" in readme


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 70000),
    st.sampled_from([0.5, -0.5, 1.5, 1e-9]),
    st.sampled_from(["", "a", "lit:x", "host:A", "host:", "chat", "/v1", "a b", "none", "local", "lm-eval"]),
    st.lists(st.sampled_from(["chat", "", "a"]), max_size=2),
    st.lists(st.integers(), max_size=1),
    st.dictionaries(st.sampled_from(["A", "1", "name"]), st.sampled_from(["lit:x", "x"]), max_size=2),
)


def _objects_of(schema: Schema) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from([*schema.properties, "unknown"]), _VALUES, max_size=4)


_NAMES = ["task", "evaluation", "target", "config", "compare", "export", "policy", "lepton-config", "harness"]
_NAMES += ["execution/local", "execution/lepton"]
_NAMES += [f"deployment/{name}" for name in Schemas(SCHEMAS).types("deployment")]


@pytest.mark.parametrize("name", _NAMES)
def test_every_error_is_worded(name: str) -> None:
    schema = Schemas(SCHEMAS).read(name)
    reference = jsonschema.Draft202012Validator(schema.node)

    @given(_objects_of(schema))
    def worded(value: dict[str, Any]) -> None:
        errors = list(reference.iter_errors(value))
        problems = check(value, schema, lambda keys: "/".join(["", *map(str, keys)]))
        assert bool(problems) == bool(errors)
        for error in errors:
            place = "/".join(["", *map(str, error.absolute_path)])
            assert any(problem.where.startswith(place) for problem in problems)
            assert not any(error.message in str(problem) for problem in problems)

    worded()


def test_problems_of_a_mapping() -> None:
    schema = {
        "type": "object",
        "additionalProperties": False,
        "required": ["a", "b"],
        "properties": {
            "a": {"type": "string", "description": "A."},
            "b": {"type": "string"},
            "c": {"type": "string", "enum": ["x"]},
            "d": {"type": "string", "maxLength": 1},
        },
    }
    problems = check({"c": 5, "d": "long", "e": 1, "f": 2}, Schema(Node(schema)), lambda keys: ".".join(map(str, keys)))
    assert sorted((problem.where, problem.what, problem.expected) for problem in problems) == [
        ("a", "is missing", "a text"),
        ("b", "is missing", "a text"),
        ("c", "has the wrong type", "a text"),
        ("d", "is not allowed", "a text"),
        ("e", "is not a known key", "one of a, b, c, d"),
        ("f", "is not a known key", "one of a, b, c, d"),
    ]


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ({"name": "demo\n"}, "has the wrong form"),
        ({"name": "a", "limit": 8.0}, "has the wrong type"),
        ({"name": "a", "temperature": math.inf}, "has the wrong type"),
        ({"name": "a", "temperature": math.nan}, "has the wrong type"),
        ({"name": "a", "tokenizer": "???"}, "is missing"),
        ({"name": "???"}, "is missing"),
        ({"name": "a", "env_vars": {"A": "???"}}, "is missing"),
        ({"name": "a", "env_vars": {"???": "lit:1"}}, "has the wrong name"),
    ],
)
def test_stricter_than_jsonschema(value: dict[str, Any], what: str) -> None:
    evaluation = {"tasks": [value]}
    assert [problem.what for problem in check(evaluation, Schemas(SCHEMAS).read("evaluation"), str)] == [what]


def test_fill_changes_neither_value_nor_schema() -> None:
    schema = Schemas(SCHEMAS).effective("deployment", "llamacpp")
    value = Node({"type": "llamacpp", "checkpoint_path": "m"})
    fill(value, schema)["env_vars"]["A"] = "lit:1"
    assert value == {"type": "llamacpp", "checkpoint_path": "m"}
    assert fill(value, schema)["env_vars"] == {}
