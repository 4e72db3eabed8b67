"""Every file by which processes talk: read back as it was written, and harmless whatever is in it."""

import json
import types
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snakeval import __version__
from snakeval.backends.local import Starter
from snakeval.backends.slurm.queue import Answer
from snakeval.results.compare.record import ComparisonRecord
from snakeval.results.exports.record import ExportRecord
from snakeval.results.result import Result
from snakeval.run.attempt import Attempt
from snakeval.run.deployment import ServedDeployment, ServerTeardown, Teardown
from snakeval.run.failures import FailedStarts
from snakeval.run.gateway import GatewayState, Target
from snakeval.run.heartbeat import Owner
from snakeval.run.lease import Lease
from snakeval.run.record import Damage, Moment, Pid, Record, ServerId, say_once
from snakeval.run.server import Secrets, ServerRecord
from snakeval.run.session import SessionRecord, StopMark

RECORDS: tuple[type[Record], ...] = (
    Answer,
    Attempt,
    FailedStarts,
    GatewayState,
    Lease,
    Owner,
    Secrets,
    ServedDeployment,
    ServerRecord,
    ServerTeardown,
    SessionRecord,
    Starter,
    StopMark,
    Target,
    Teardown,
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
PLAIN: Mapping[Any, st.SearchStrategy[Any]] = {
    Moment: st.floats(0, 253402300799),
    Pid: st.integers(1, 2**31 - 1),
    ServerId: st.text("0123456789abcdef", min_size=16, max_size=16),
    int: st.integers(-(2**63), 2**63),
    float: st.floats(allow_nan=False, allow_infinity=False),
    object: JSON,
}


def _of_type(wanted: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for the values of a field."""
    if wanted in PLAIN:
        return PLAIN[wanted]
    inner = get_args(wanted)
    if get_origin(wanted) in (Union, types.UnionType):
        return st.one_of([_of_type(one) for one in inner])
    if get_origin(wanted) is tuple:
        return st.lists(_of_type(inner[0]), max_size=3).map(tuple)
    if get_origin(wanted) is not None and issubclass(get_origin(wanted), Mapping):
        return st.dictionaries(_of_type(inner[0]), _of_type(inner[1]), max_size=3)
    return st.from_type(wanted)


def _records(kind: type[Record]) -> st.SearchStrategy[Record]:
    hints = get_type_hints(kind, include_extras=True)
    return st.builds(kind, **{one.name: _of_type(hints[one.name]) for one in fields(kind)})


ANY_RECORD = st.one_of([_records(kind) for kind in RECORDS])


def _written(record: Record, folder: str) -> Path:
    file = Path(folder) / "record.json"
    record.write(file)
    return file


def _read(kind: type[Record], content: bytes) -> tuple[Record | None, list[Damage]]:
    """Return what is read of a file with this content, and what is told."""
    told: list[Damage] = []
    with TemporaryDirectory() as folder:
        file = Path(folder) / "record.json"
        file.write_bytes(content)
        return kind.read(file, told.append), told


@given(ANY_RECORD)
def test_what_is_written_is_read_back(record: Record) -> None:
    told: list[Damage] = []
    with TemporaryDirectory() as folder:
        file = _written(record, folder)
        assert type(record).read(file, told.append) == record
        assert file.stat().st_mode & 0o777 == type(record).MODE
        assert list(Path(folder).iterdir()) == [file]
    assert told == []


@given(ANY_RECORD)
def test_a_file_says_which_version_wrote_it(record: Record) -> None:
    with TemporaryDirectory() as folder:
        content = json.loads(_written(record, folder).read_bytes())
    assert (content["schema_version"], content["snakeval_version"]) == (type(record).SCHEMA, __version__)


@given(ANY_RECORD, st.dictionaries(st.text().map("new_{}".format), JSON, min_size=1, max_size=3))
def test_a_later_form_is_read_as_far_as_it_is_understood(record: Record, more: dict[str, Any]) -> None:
    with TemporaryDirectory() as folder:
        content = json.loads(_written(record, folder).read_bytes())
    later = content | more | {"schema_version": type(record).SCHEMA + 1, "snakeval_version": "9.8"}
    assert _read(type(record), json.dumps(later).encode()) == (record, [])


@pytest.mark.parametrize("kind", RECORDS)
def test_a_later_form_that_is_not_understood_is_refused_with_its_version(kind: type[Record]) -> None:
    later = {"schema_version": kind.SCHEMA + 1, "snakeval_version": "9.8", "all": "is different"}
    record, (damage,) = _read(kind, json.dumps(later).encode())
    assert record is None
    assert f"Snakeval 9.8 wrote it in form {kind.SCHEMA + 1}" in damage.why
    assert f"this is Snakeval {__version__}, which knows forms up to {kind.SCHEMA}" in damage.why


@given(st.sampled_from(RECORDS), st.binary())
def test_whatever_is_in_a_file_is_told_and_not_raised(kind: type[Record], content: bytes) -> None:
    record, told = _read(kind, content)
    assert record is None
    assert [damage.path.name for damage in told] == ["record.json"]
    assert all(damage.why for damage in told)


@given(ANY_RECORD, st.data())
def test_half_a_file_is_damaged(record: Record, data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        content = _written(record, folder).read_bytes()
    half = content[: data.draw(st.integers(0, len(content) - 3))]
    assert (_read(type(record), half)[0], len(_read(type(record), half)[1])) == (None, 1)


@given(st.sampled_from(RECORDS), JSON)
def test_other_json_is_damaged(kind: type[Record], content: Any) -> None:
    record, told = _read(kind, json.dumps(content).encode())
    assert (record, len(told)) == (None, 1)


@given(ANY_RECORD, st.data())
def test_a_value_of_another_type_is_damaged(record: Record, data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        content = json.loads(_written(record, folder).read_bytes())
    content[data.draw(st.sampled_from(sorted(content)))] = [{"what": "is this"}]
    told = _read(type(record), json.dumps(content).encode())[1]
    assert len(told) == 1


@pytest.mark.parametrize("kind", RECORDS)
@pytest.mark.parametrize(
    "content", [b"", b"{", b"{}", b"[]", b"null", b"text", b'"text"', b"\xff\xfe", b"[" * 100_000, b'{"a": "\\ud800"}']
)
def test_damaged_files(kind: type[Record], content: bytes) -> None:
    record, told = _read(kind, content)
    assert (record, len(told)) == (None, 1)


@pytest.mark.parametrize("at", [1e300, -1e300, 2**62])
def test_a_moment_without_a_date_is_damage(at: float) -> None:
    record, told = _read(StopMark, json.dumps({"session": "one", "at": at}).encode())
    assert (record, len(told)) == (None, 1)


@pytest.mark.parametrize("kind", RECORDS)
def test_no_file_is_no_damage(kind: type[Record], tmp_path: Path) -> None:
    told: list[Damage] = []
    assert kind.read(tmp_path / "none.json", told.append) is None
    (tmp_path / "file").touch()
    assert kind.read(tmp_path / "file" / "none.json", told.append) is None
    assert told == []


def test_what_cannot_be_opened_is_told(tmp_path: Path) -> None:
    told: list[Damage] = []
    assert Lease.read(tmp_path, told.append) is None
    assert told == [Damage(tmp_path, "Is a directory")]


def test_damage_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "lease.json"
    file.write_text("{}")
    for _ in range(3):
        assert Lease.read(file) is None
    said = capsys.readouterr().err
    assert said == f"notice: {file} cannot be used and counts as missing: Object missing required field `deployment`\n"
    file.write_text("")
    say_once(Damage(file, "another"))
    assert "another" in capsys.readouterr().err


def test_every_record_is_tested_here() -> None:
    """Those of results, which schemas check as well, are tested in tests/unit/results/test_old_results.py."""
    known = {kind for kind in _subclasses(Record) if kind.__module__.startswith("snakeval.")}
    assert known == {*RECORDS, Result, ComparisonRecord, ExportRecord}


def _subclasses(kind: type[Record]) -> set[type[Record]]:
    return {one for sub in kind.__subclasses__() for one in (sub, *_subclasses(sub))}
