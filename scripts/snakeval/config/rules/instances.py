"""Rules about several instances of one server (`execution.num_instances`)."""

from collections.abc import Iterator

from snakeval.config.draft import Draft
from snakeval.config.reading.entry import Entry
from snakeval.config.reading.wording import show
from snakeval.errors import Problem


def instances_divide_nodes(draft: Draft) -> Iterator[Problem]:
    """Every instance has the same number of nodes."""
    instances, nodes = _instances(draft), draft.execution.data.get("num_nodes", 1)
    if nodes % instances:
        where = draft.execution.at("num_instances")
        expected = f"a divisor of execution.num_nodes ({nodes})"
        hint = "num_nodes counts the nodes of all instances together: set it to a multiple of num_instances"
        yield Problem(where, "does not divide the nodes", show(instances), expected, hint)


def instances_are_healthy_by_a_path(draft: Draft) -> Iterator[Problem]:
    """The router asks each instance for its health."""
    for entry in _routed(draft):
        if "health_path" in entry.data and entry.data["health_path"] is None:
            expected = "a path that answers 200, because execution.num_instances puts a router before the server"
            hint = "name the path, or set execution.num_instances to 1"
            yield Problem(entry.at("health_path"), "is missing", "null", expected, hint)


def router_is_understood(draft: Draft) -> Iterator[Problem]:
    """The router writes keys of its own into requests (`no_stop_trim`, ...), which some engines refuse."""
    for entry in _routed(draft):
        if entry.schema.engine.refuses_unknown_keys:
            what = f"cannot serve deployment {entry.data['name']} (type {entry.data['type']})"
            hint = "its engine refuses the keys that the router adds to requests; use several deployments instead"
            yield Problem(draft.execution.at("num_instances"), what, show(_instances(draft)), "1", hint)


def _instances(draft: Draft) -> int:
    return int(draft.execution.data.get("num_instances", 1))


def _routed(draft: Draft) -> list[Entry]:
    """Return the deployments whose servers have several instances."""
    if _instances(draft) == 1:
        return []
    return [entry for entry in draft.served if entry.schema.engine.has_server]
