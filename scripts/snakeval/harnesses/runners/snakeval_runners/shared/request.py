"""What all requests have: request.json tells a runner what to do."""

import json
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from .fields import Fields


@dataclass(frozen=True)
class Request:
    """The part of request.json that is the same for all runners; the API key is nowhere in it.

    Attributes:
        task: What the harness calls the task.
        limit: Number of samples, None for all.
        repeats: Generations per sample.
        parallelism: Requests under way at the same time.
        outcome_path, samples_path, progress_path, error_path: What the runner leaves.
    """

    task: str
    limit: int | None
    repeats: int
    parallelism: int
    outcome_path: Path
    samples_path: Path
    progress_path: Path
    error_path: Path

    def content(self) -> dict[str, object]:
        """Return what stands in request.json."""
        return asdict(self, dict_factory=_plain)


def _plain(items: list[tuple[str, Any]]) -> dict[str, object]:
    return {name: str(value) if isinstance(value, Path) else value for name, value in items}


_Request = TypeVar("_Request", bound=Request)


def read_request(path: Path, kind: type[_Request]) -> _Request:
    """Read request.json; paths in it become absolute, the working directory may be elsewhere.

    Raises:
        SystemExit: it is damaged; says which field.
    """
    try:
        request: _Request = _decoded(kind, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SystemExit(f"error: {path} is no request: {type(error).__name__}: {error}") from None
    return request


def _decoded(kind: Any, content: object) -> Any:
    given, hints = Fields(content), get_type_hints(kind)
    values = {}
    for field in fields(kind):
        value, hint = given.value(field.name), hints[field.name]
        if hint is Path:
            value = Path(given.text(field.name)).resolve()
        elif is_dataclass(hint):
            value = _decoded(hint, value)
        values[field.name] = value
    return kind(**values)
