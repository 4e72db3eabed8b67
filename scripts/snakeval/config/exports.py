"""The exports of a configuration: formats and trackers, and what a schema cannot say of trackers."""

from collections.abc import Iterator, Mapping

from snakeval.config.draft import Draft
from snakeval.config.endpoint import wrong_url
from snakeval.config.model import Export
from snakeval.config.reading.schema import Schema
from snakeval.config.reading.schema_files import Schemas
from snakeval.config.reading.tree import Node
from snakeval.config.reading.validate import check
from snakeval.config.reading.wording import show
from snakeval.config.secrets import unset
from snakeval.errors import Problem

_FORMATS = "formats"


def trackers(schemas: Schemas) -> list[str]:
    """Return the trackers: every key of `export` that is not the list of formats."""
    return [name for name in schemas.read("export").properties if name != _FORMATS]


def build_exports(data: Node) -> tuple[Export, ...]:
    """Return the exports of a valid `export`, each once."""
    formats = [Export(name, Node({})) for name in dict.fromkeys(data[_FORMATS])]
    return (*formats, *(Export(name, data[name]) for name in data if name != _FORMATS and data[name] is not None))


def check_exports(draft: Draft, schemas: Schemas, environ: Mapping[str, str] | None) -> Iterator[Problem]:
    """Yield what is wrong with addresses, and with variables that are named and not set.

    Args:
        draft: The configuration.
        schemas: To leave alone what they refuse; `make_draft` reports it.
        environ: Variables of this machine; None to look at none.
    """
    data, schema = draft.top.data["export"], schemas.read("export")
    if check(data, schema, str):
        return
    for name in trackers(schemas):
        settings = data[name]
        if settings is None:
            continue
        parts = schema.properties[name].properties
        secret = next((key for key, part in parts.items() if part.is_secret), None)
        for key in (key for key, part in parts.items() if part.destination.address):
            yield from _address(draft.top.at("export", name, key), settings[key], secret)
            if environ is not None and settings[key] is None:
                yield from _elsewhere(draft.top.at("export", name, key), parts[key], environ)
        if environ is not None and secret and settings[secret] and settings[secret] not in environ:
            yield unset(draft.top.at("export", name, secret), settings[secret])


def _address(where: str, url: str | None, secret: str | None) -> Iterator[Problem]:
    what = wrong_url(url) if url else None
    if url and what:
        # A URL with a user or a query may hold a password or a key.
        got = f"a text of {len(url)} characters (not shown)" if what.startswith("holds") else show(url)
        hint = "give the address alone" + (f", and the secret by {secret}" if secret else "")
        yield Problem(where, what, got, "http(s)://HOST[:PORT], without user and query", hint)


def _elsewhere(where: str, part: Schema, environ: Mapping[str, str]) -> Iterator[Problem]:
    """Yield that an address is missing which the variable of `x-else-variable` does not give either."""
    variable = part.destination.else_variable
    if variable and not environ.get(variable):
        hint = f"set it, or export {variable}=... in the same shell"
        yield Problem(where, "is missing", "nothing", f"the address of {part.destination.address}", hint)
