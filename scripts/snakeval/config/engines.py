"""What the keys of servers imply, by the `x-` keys of their schemas and by what few types have of their own."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from snakeval.config.reading.own_words import Engine
from snakeval.config.reading.schema import Schema
from snakeval.config.reading.tree import Node
from snakeval.config.reading.wording import show

NGC_KEY = "NGC_API_KEY"
_MAJOR = re.compile(r":v?(\d+)(?:[.-]|$)")


def complete_engine(data: Node, schema: Schema) -> None:
    """Fill in what follows from other keys of a deployment; safe to call twice.

    A text in `extra_args` becomes a list of words, when it can be split. A null `served_model_name` becomes the name of
    the weights. A NIM learns its generation and its key from what it was given.
    """
    if isinstance(data.get("extra_args"), str):
        try:
            data["extra_args"] = shlex.split(data["extra_args"])
        except ValueError:
            return  # `wrong_extra_args` tells.
    if data["served_model_name"] is None:
        data["served_model_name"] = _name_of_weights(data, schema)
    if data["type"] == "nim":
        data["generation"] = data["generation"] or image_major(data["image"])
        if data["ngc_api_key_name"]:
            data["env_vars"].setdefault(NGC_KEY, f"host:{data['ngc_api_key_name']}")


def _name_of_weights(data: Node, schema: Schema) -> str | None:
    for key in schema.engine.names_model_by:
        if isinstance(data[key], str):
            return weights_name(data[key]) if key.endswith("_path") else data[key]
    return None


def weights_name(checkpoint_path: str) -> str:
    """Return the name of a checkpoint: its folder's, or its file's without `.gguf`."""
    return Path(checkpoint_path).name.removesuffix(".gguf")


def image_major(image: str) -> int | None:
    """Return the major version in the tag of an image reference, None when there is none."""
    found = _MAJOR.search(image.partition("@")[0])
    return int(found[1]) if found else None


def environment_family(data: Node, engine: Engine) -> str | None:
    """Return the family of `envs/` that a server runs in; None when it is a container or a command on PATH.

    Args:
        data: The keys of its deployment.
        engine: Of its type, which may always run in the same one.
    """
    if data.get("runtime") == "environment":
        return str(data["environment"])
    return engine.environment


def without_unused(data: Node, schema: Schema) -> Node:
    """Return the keys that mean something with the others: `x-only-with` says which values they need beside them."""
    needs = {name: part.only_with for name, part in schema.properties.items()}
    return Node(
        {
            name: value
            for name, value in data.items()
            if all(data.get(key) == needed for key, needed in needs.get(name, {}).items())
        }
    )


def wrong_extra_args(text: str) -> str | None:
    """Return why a text cannot be split into words, None when it can."""
    try:
        shlex.split(text)
    except ValueError as error:
        return str(error)
    return None


def reserved_words(words: Sequence[str], reserved: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the options among `words` that Snakeval sets itself, each with what to use instead.

    Engines accept `_` for `-`, and `--option=value`.
    """
    by_form = {_form(option): use for option, use in reserved.items()}
    for word in words:
        option = word.partition("=")[0]
        if option.startswith("-") and _form(option) in by_form:
            yield option, by_form[_form(option)]


def _form(option: str) -> str:
    return option.lower().replace("_", "-")


def shown_weights(data: Node, keys: Sequence[str]) -> str:
    """Return what was given for the weights, for messages."""
    given = [f"{key}: {show(data[key])}" for key in keys if data[key] is not None]
    return ", ".join(given) or "neither"
