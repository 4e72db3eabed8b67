"""The exports of a configuration: formats and trackers, and what a schema cannot say of trackers."""

from collections.abc import Iterator, Mapping

from snakeval.config.draft import Draft
from snakeval.config.endpoint import wrong_url
from snakeval.config.model import Export
from snakeval.config.reading.schema_files import Schemas
from snakeval.config.reading.tree import Node
from snakeval.config.reading.validate import check
from snakeval.config.reading.wording import show
from snakeval.config.secrets import unset
from snakeval.errors import Problem

TRACKERS = ("mlflow", "wandb")
_ADDRESS = {"mlflow": "tracking_uri", "wandb": "base_url"}
_SECRET_NAME = {"mlflow": "token_name", "wandb": "api_key_name"}
MLFLOW_URI = "MLFLOW_TRACKING_URI"


def build_exports(data: Node) -> tuple[Export, ...]:
    """Return the exports of a valid `export`, each once."""
    formats = [Export(name, Node({})) for name in dict.fromkeys(data["formats"])]
    return (*formats, *(Export(name, data[name]) for name in TRACKERS if data[name] is not None))


def check_exports(draft: Draft, schemas: Schemas, environ: Mapping[str, str] | None) -> Iterator[Problem]:
    """Yield what is wrong with addresses, and with variables that are named and not set.

    Args:
        draft: The configuration.
        schemas: To leave alone what they refuse; `make_draft` reports it.
        environ: Variables of this machine; None to look at none.
    """
    data = draft.top.data["export"]
    if check(data, schemas.read("export"), str):
        return
    for name in TRACKERS:
        settings = data[name]
        if settings is None:
            continue
        yield from _address(draft, name, settings)
        if environ is not None:
            yield from _variables(draft, name, settings, environ)


def _address(draft: Draft, name: str, settings: Node) -> Iterator[Problem]:
    key = _ADDRESS[name]
    url = settings[key]
    what = wrong_url(url) if url else None
    if what:
        # A URL with a user or a query may hold a password or a key.
        got = f"a text of {len(url)} characters (not shown)" if what.startswith("holds") else show(url)
        hint = f"give the address alone, and the secret by {_SECRET_NAME[name]}"
        yield Problem(
            draft.top.at("export", name, key), what, got, "http(s)://HOST[:PORT], without user and query", hint
        )


def _variables(draft: Draft, name: str, settings: Node, environ: Mapping[str, str]) -> Iterator[Problem]:
    key = _SECRET_NAME[name]
    if settings[key] and settings[key] not in environ:
        yield unset(draft.top.at("export", name, key), settings[key])
    if name == "mlflow" and settings["tracking_uri"] is None and not environ.get(MLFLOW_URI):
        where = draft.top.at("export", name, "tracking_uri")
        hint = f"set it, or export {MLFLOW_URI}=... in the same shell"
        yield Problem(where, "is missing", "nothing", "the address of an MLflow tracking server", hint)
