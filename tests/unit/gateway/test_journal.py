"""The journal: nothing lost but what was in flight, nothing wrong given out, whatever happens to the file."""

import gzip
import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from snakeval.gateway.entries import Answer, Failed, Header
from snakeval.gateway.identity import Occurrences, content_hash, varied_seed
from snakeval.gateway.journal import Journal, pack, read_entries

HEADER = Header("deployment", "adapters", "1.2.3")


def make_answer(key: str, text: str = "4", life: str = "first") -> Answer:
    reply = msgspec.Raw(json.dumps({"choices": [{"message": {"content": text}}]}).encode())
    return Answer(
        key, life, "/chat/completions", msgspec.Raw(b"{}"), reply, ["answered"], ["stop"], 5, 2, 0.1, 1, 1, None, 0.0
    )


def _key(number: int) -> str:
    return f"{number:032x}"


def _filled(path: Path, count: int = 3) -> list[str]:
    journal = Journal(path, HEADER, "first")
    keys = [_key(number) for number in range(count)]
    for key in keys:
        journal.remember(make_answer(key, f"text of {key}"))
    journal.close()
    return keys


def _texts(path: Path, life: str = "second") -> list[str]:
    journal = Journal(path, HEADER, life)
    try:
        return [json.loads(bytes(one.reply))["choices"][0]["message"]["content"] for one in journal.answers()]
    finally:
        journal.close()


def test_answers_are_found_again(tmp_path: Path) -> None:
    path = tmp_path / "task" / "journal.jsonl"
    keys = _filled(path)
    journal = Journal(path, HEADER, "second")
    assert len(journal) == 3
    assert [journal.find(key) for key in keys] == [make_answer(key, f"text of {key}") for key in keys]
    assert journal.find(_key(9)) is None
    assert str(journal.damage) == ""
    assert all(json.loads(line)["entry"]["type"] for line in path.read_text().splitlines())


def test_a_torn_last_line_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    _filled(path)
    path.write_bytes(path.read_bytes()[:-5])
    journal = Journal(path, HEADER, "second")
    assert (len(journal), str(journal.damage)) == (2, "its last line is torn")
    journal.remember(make_answer(_key(7), "new"))
    journal.close()
    assert _texts(path) == [f"text of {_key(0)}", f"text of {_key(1)}", "new"]


def test_a_damaged_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    _filled(path)
    path.write_bytes(
        path.read_bytes().replace(
            b"text of 00000000000000000000000000000001", b"forged, of the same length, by somebody!"[:40]
        )
    )
    journal = Journal(path, HEADER, "second")
    assert (len(journal), str(journal.damage)) == (2, "1 of its lines are damaged")
    assert journal.find(_key(1)) is None


@pytest.mark.parametrize("header", [Header("another", "adapters", "1"), Header("deployment", "others", "1")])
def test_answers_of_another_deployment_or_adapter_are_not_given_out(tmp_path: Path, header: Header) -> None:
    path = tmp_path / "journal.jsonl"
    _filled(path)
    assert len(Journal(path, header, "second")) == 0
    assert len(path.read_bytes().splitlines()) == 1


def test_another_version_of_the_program_is_no_reason(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    _filled(path)
    assert len(Journal(path, Header("deployment", "adapters", "9.9.9"), "second")) == 3


def test_a_file_without_a_header_answers_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    _filled(path)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))
    assert len(Journal(path, HEADER, "second")) == 0


def test_packed_and_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    _filled(path)
    Journal(path, HEADER, "second").close()
    digest = pack(path)
    packed = tmp_path / "journal.jsonl.gz"
    assert not path.exists()
    first = packed.read_bytes()
    assert len(_texts(path)) == 3
    Journal(path, HEADER, "third").close()
    assert pack(path) == digest
    assert packed.read_bytes() == first
    packed.write_bytes(first[:-20])
    assert str(Journal(path, HEADER, "fourth").damage).startswith("its last line is torn")


def test_killed_between_the_two_files_of_packing(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    _filled(path)
    with gzip.open(tmp_path / "journal.jsonl.gz", "wb") as stream:
        stream.write(path.read_bytes()[:100])
    assert len(_texts(path)) == 3


@settings(max_examples=60)
@given(data=st.data())
def test_whatever_happens_to_the_file_nothing_wrong_is_given_out(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    keys = _filled(path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content)[: data.draw(st.integers(0, len(content)))])
    journal = Journal(path, HEADER, "second")
    for key in keys:
        assert journal.find(key) in (None, make_answer(key, f"text of {key}"))
    journal.remember(make_answer(_key(50), "new"))
    assert journal.find(_key(50)) == make_answer(_key(50), "new")
    journal.close()
    assert "new" in _texts(path)


def test_equal_requests_have_places_of_their_own(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl", HEADER, "first")
    occurrences = Occurrences(journal)
    content = content_hash("/chat/completions", b'{"a": 1, "b": 2}')
    assert content == content_hash("/chat/completions", b'{"b":2,"a":1}')
    assert content != content_hash("/completions", b'{"b":2,"a":1}')
    first, second = occurrences.begin(content), occurrences.begin(content)
    assert (first[1], second[1]) == (0, 1)
    assert first[0] != second[0]
    # The first one fails, and its client asks again: it is the same request.
    occurrences.end(first[0])
    assert occurrences.begin(content) == first
    journal.remember(make_answer(first[0]))
    journal.hand_out(first[0], again=False)
    occurrences.end(first[0])
    assert occurrences.begin(content)[1] == 2


def test_another_life_gets_the_same_answers_again_and_each_once(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    content = content_hash("/chat/completions", b"{}")
    journal = Journal(path, HEADER, "first")
    keys = []
    for _ in range(2):
        key, _number = Occurrences(journal).begin(content)
        journal.remember(make_answer(key))
        journal.hand_out(key, again=False)
        keys.append(key)
    journal.close()
    second = Journal(path, HEADER, "second")
    occurrences = Occurrences(second)
    assert [occurrences.begin(content)[0] for _ in range(3)][:2] == keys
    second.hand_out(keys[0], again=True)
    second.close()
    # Killed and started again within the second life: the first answer has been given out.
    assert Occurrences(Journal(path, HEADER, "second")).begin(content)[0] == keys[1]


def test_a_seed_varies_only_where_something_is_drawn() -> None:
    body = {"seed": 5, "temperature": 0.7}
    assert varied_seed(body, 0) == body
    assert varied_seed(body, 2)["seed"] == 7
    assert varied_seed({"seed": 5}, 2)["seed"] == 7
    assert varied_seed({"seed": 5, "temperature": 0}, 2)["seed"] == 5
    assert varied_seed({"temperature": 1}, 2) == {"temperature": 1}


def test_a_journal_is_read_while_it_is_written_and_when_it_is_packed(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    _filled(path)
    journal = Journal(path, HEADER, "second")
    journal.give_up("00" * 16, "aborted", "finish_reason abort")
    with path.open("ab") as stream:
        stream.write(b'{"digest":"half of a line')
    kinds = [entry.kind if isinstance(entry, Failed) else "answer" for entry in read_entries(path)]
    assert kinds == ["answer"] * 3 + ["aborted"]
    journal.close()
    pack(path)
    assert len(list(read_entries(path))) == 4


def test_a_request_that_failed_is_known_until_it_is_answered(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    _filled(path)
    key = next(Journal(path, HEADER, "first").answers()).key
    first = Journal(path, HEADER, "first")
    first.give_up(key, "busy", "HTTP 429")
    first.close()
    again = Journal(path, HEADER, "first")
    assert [failed.detail for failed in again.failed.values()] == ["HTTP 429"]
    assert not Journal(path, HEADER, "second").failed
    again.remember(next(again.answers()))
    assert not again.failed
    assert not Journal(path, HEADER, "first").failed
