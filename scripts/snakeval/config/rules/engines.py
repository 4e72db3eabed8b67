"""Rules about the servers of deployments, beside those of `check.py`: weights, arguments, nodes."""

from collections.abc import Iterator

from snakeval.config.draft import Draft
from snakeval.config.engines import reserved_words, shown_weights, wrong_extra_args
from snakeval.config.reading.entry import Entry
from snakeval.config.reading.wording import show
from snakeval.errors import Problem


def check_engines(draft: Draft) -> Iterator[Problem]:
    """Yield what breaks a rule in the deployments that their schemas accept."""
    for entry in draft.served:
        for rule in (_weights, _revision, _generation, _extra_args, _nodes):
            yield from rule(entry, draft)


def _weights(entry: Entry, _: Draft) -> Iterator[Problem]:
    keys = entry.schema.engine.one_of
    given = [key for key in keys if entry.data[key] is not None]
    if keys and len(given) != 1 and entry.data.get("command") is None:
        hint = "checkpoint_path is a folder with config.json and weights, hf_model_handle an id such as org/model"
        where = entry.at(given[-1] if given else keys[0])
        what = "says twice which weights to serve" if given else "is missing"
        yield Problem(where, what, shown_weights(entry.data, keys), "one of " + " and ".join(keys), hint)


def _revision(entry: Entry, _: Draft) -> Iterator[Problem]:
    if entry.data.get("revision") and not entry.data["hf_model_handle"]:
        hint = "remove revision; what is in a local checkpoint is what is served"
        got = show(entry.data["revision"])
        yield Problem(entry.at("revision"), "has no meaning without hf_model_handle", got, "null", hint)


def _generation(entry: Entry, _: Draft) -> Iterator[Problem]:
    if entry.data["type"] != "nim":
        return
    generation = entry.data["generation"]
    if generation not in (1, 2):
        hint = "set deployment.generation: 1 for images of version 1.x, 2 for 2.x"
        got = show(entry.data["image"])
        yield Problem(entry.at("generation"), "cannot be told from the image's version", got, "1 or 2", hint)
    if generation == 1 and entry.data["extra_args"]:
        hint = "generation 1 is set up by its NIM_ variables alone; use env_vars"
        got = show(entry.data["extra_args"])
        yield Problem(entry.at("extra_args"), "has no meaning for a NIM of generation 1", got, "nothing", hint)
    if entry.data["checkpoint_path"] and entry.data["hf_model_handle"]:
        keys = ("checkpoint_path", "hf_model_handle")
        got = shown_weights(entry.data, keys)
        hint = "remove one of them, or both to serve the image's own model"
        yield Problem(entry.at("hf_model_handle"), "says twice which weights to serve", got, "one of them", hint)


def _extra_args(entry: Entry, _: Draft) -> Iterator[Problem]:
    words = entry.data.get("extra_args", [])
    if isinstance(words, str):
        why = wrong_extra_args(words)
        hint = "close every quote; or write a list, one word an entry"
        expected = "a list, or a text that a shell could split"
        yield Problem(entry.at("extra_args"), f"cannot be split into words ({why})", show(words), expected, hint)
        return
    for option, use in reserved_words(words, entry.schema.engine.reserved_arguments):
        hint = f"remove it and use {use}" if not use.startswith("nothing") else f"remove it: {use.partition(', ')[2]}"
        what = f"sets {option}, which Snakeval sets itself"
        yield Problem(entry.at("extra_args"), what, option, "options that have no key of their own", hint)


def _nodes(entry: Entry, draft: Draft) -> Iterator[Problem]:
    nodes = draft.execution.data.get("num_nodes", 1) // draft.execution.data.get("num_instances", 1)
    known = entry.schema.engine.is_multi_node or entry.data.get("command")
    if nodes > 1 and entry.schema.engine.has_server and not known:
        name = entry.data["name"]
        hint = "use type vllm or sglang, or one node"
        what = f"is more than deployment {name} (type {entry.data['type']}) can use"
        yield Problem(draft.execution.at("num_nodes"), what, show(nodes), "1", hint)
    elif nodes == 1 and entry.data.get("distributed_executor_backend") == "ray":
        hint = "one node needs no Ray: leave distributed_executor_backend out, or set execution.num_nodes"
        where = entry.at("distributed_executor_backend")
        yield Problem(where, "has no meaning on one node", "ray", "mp or null", hint)
