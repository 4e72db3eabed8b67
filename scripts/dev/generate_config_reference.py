"""Write the tables of config/README.md from the schemas; with --check only say whether they are up to date."""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from snakeval.config.reading.schema import Schema
from snakeval.config.reading.schema_files import Schemas
from snakeval.config.reading.wording import type_words
from snakeval.config.reading.yamlfile import read_yaml
from snakeval.system.checkout import ROOT

BEGIN = "<!-- reference: begin, written by scripts/dev/generate_config_reference.py -->"
END = "<!-- reference: end -->"


def reference(schemas: Path) -> str:
    """Return the tables, one for each schema, as Markdown."""
    known = Schemas(schemas)
    target = known.read("target").properties["api_endpoint"]
    parts = [
        _section("Top level", known.read("config"), ""),
        _section("Every task: `evaluation`", known.read("evaluation"), "evaluation."),
        _section("One task: an entry of `evaluation.tasks`", known.read("task"), ""),
    ]
    for group in ("execution", "deployment"):
        parts.append(_section(f"`{group}`, whatever its type", known.read(f"{group}/common"), f"{group}."))
        for name in known.types(group):
            own = read_yaml(schemas / group / f"{name}.schema.yaml")["properties"]
            keys = [key for key in own if key != "type"]
            parts.append(_section(f"`{group}` of type `{name}`", known.effective(group, name), f"{group}.", keys))
    own = known.read("lepton-config")
    parts.append(_section("`deployment.lepton_config`", own, "deployment.lepton_config."))
    parts.append(_section("`target.api_endpoint`", target, "target.api_endpoint."))
    parts.append(_section("One comparison: an entry of `compare`", known.read("compare"), ""))
    parts.append(_section("`export`", known.read("export"), "export."))
    parts += _policy(known.read("policy"))
    harness = known.read("harness")
    parts.append(_section("A harness: a file of `config/harnesses/`", harness, ""))
    task = harness.properties["tasks"].other_keys
    parts.append(_section("One task of a harness: an entry of its `tasks`", task, ""))
    return "\n\n".join(parts)


def _policy(schema: Schema) -> list[str]:
    tiers = schema.properties["tiers"].properties
    parts = [
        _section("A gate's policy file", schema, ""),
        _section("One entry of a policy's `tasks`", schema.properties["tasks"].items, ""),
    ]
    return parts + [_section(f"Tier `{name}` of a policy", tier, f"tiers.{name}.") for name, tier in tiers.items()]


def _section(title: str, schema: Schema, prefix: str, keys: list[str] | None = None) -> str:
    lines = [f"### {title}", "", schema.description]
    names = list(schema.properties) if keys is None else keys
    if names:
        lines += ["", "| key | type | default | description |", "|---|---|---|---|"]
        lines += _rows(schema, prefix, names)
    return "\n".join(lines)


def _rows(schema: Schema, prefix: str, names: list[str]) -> Iterator[str]:
    for name in names:
        part = schema.properties[name]
        yield _row(f"{prefix}{name}", name, schema)
        if part.properties and prefix:
            yield from _rows(part, f"{prefix}{name}.", list(part.properties))


def _row(shown: str, name: str, schema: Schema) -> str:
    part = schema.properties[name]
    default = "required" if name in schema.required else _code(part.default) if part.has_default else ""
    description = " ".join(_sentences(part))
    cells = (f"`{shown}`", _type(part), default, description)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _sentences(part: Schema) -> Iterator[str]:
    yield part.description
    if part.form and not part.choices:
        yield f"Form: {part.form}."
    if "propertyNames" in part.node and "host:NAME" in part.other_keys.form:
        yield "Values: host:NAME, runtime:NAME or lit:VALUE."
    if part.examples:
        yield "Example: " + " or ".join(_code(example) for example in part.examples) + "."
    if part.is_operational:
        yield "*Operational.*"


def _type(part: Schema) -> str:
    if part.choices:
        return ", ".join("null" if value is None else f"`{value}`" for value in part.choices)
    words = re.sub(r"\ba (?=\w)", "", type_words(part.types, part.bounds))
    items = part.items.choices
    return words.replace("list", "list of " + ", ".join(f"`{value}`" for value in items)) if items else words


def _code(value: Any) -> str:
    return f"`{value}`" if isinstance(value, str) and value else f"`{json.dumps(value)}`"


def updated(text: str, tables: str) -> str:
    """Return the README with the part between the markers replaced.

    Raises:
        ValueError: a marker is missing.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the README needs the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}"


def main(root: Path, check: bool) -> int:
    """Return the exit code: 1 when `check` finds the README out of date."""
    readme = root / "config" / "README.md"
    old = readme.read_text(encoding="utf-8")
    new = updated(old, reference(root / "schemas"))
    if check:
        if new != old:
            print(
                "config/README.md is out of date: run python scripts/dev/generate_config_reference.py", file=sys.stderr
            )
        return int(new != old)
    readme.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, end with 1 when tables are out of date")
    sys.exit(main(ROOT, parser.parse_args().check))
