"""The demo tasks: the committed questions are the generated ones, and every answer is right."""

import json
import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from dev import generate_demo_tasks
from snakeval.system.checkout import CONFIG

TASK_DIR = CONFIG / "tasks"
DEMO_TASKS = sorted(generate_demo_tasks.TASKS)


class TaskLoader(yaml.SafeLoader):
    """Reads `!function module.name` as a string, which a plain YAML loader refuses."""


TaskLoader.add_constructor("!function", lambda loader, node: f"!function {node.value}")


@cache
def definition(name: str) -> dict[str, Any]:
    """Return the parsed YAML of a demo task."""
    loaded: dict[str, Any] = yaml.load((TASK_DIR / f"{name}.yaml").read_text(), Loader=TaskLoader)
    return loaded


def rows(name: str) -> list[dict[str, str]]:
    """Return the samples of a demo task."""
    return [json.loads(line) for line in (TASK_DIR / "data" / f"{name}.jsonl").read_text().splitlines()]


def quoted(question: str) -> list[str]:
    return re.findall(r'"(\w+)"', question)


def numbers(question: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", question)]


def boolean_expression(question: str) -> str:
    expression = question.split("? ")[1]
    assert set(expression.split()) <= {"True", "False", "and", "or", "not"}
    return str(eval(expression))


def arithmetic(question: str) -> str:
    first, second = numbers(question)
    assert all(len(str(number)) == 2 for number in (first, second))
    return str(first + second if "+" in question else first - second)


def sorted_words(question: str) -> str:
    words = question.split(": ")[1].split()
    assert len(words) in (3, 4)
    return " ".join(sorted(words))


def letter_count(question: str) -> str:
    letter, word = quoted(question)
    return str(sum(character == letter for character in word))


def odd_letter(question: str) -> str:
    choices: list[tuple[str, str]] = re.findall(r"\(([A-D])\) (\w+)", question)
    groups = {word: group for group, words in generate_demo_tasks.CATEGORIES.items() for word in words}
    sizes = Counter(groups[word] for _, word in choices)
    (answer,) = [letter for letter, word in choices if sizes[groups[word]] == 1]
    return answer


def opposite(question: str) -> str:
    (word,) = quoted(question)
    choices = question.rstrip("?").split(": ")[1].split(", ")
    pairs = {frozenset(pair) for pair in generate_demo_tasks.OPPOSITES}
    (answer,) = [choice for choice in choices if frozenset((word, choice)) in pairs]
    return answer


def capital(question: str) -> str:
    if match := re.fullmatch(r"What is the capital of (.+)\?", question):
        return str(dict(generate_demo_tasks.CAPITALS)[match[1]])
    name = question.removesuffix(" is the capital of which country?")
    return {town: country for country, town in generate_demo_tasks.CAPITALS}[name]


def extrapolation(question: str) -> str:
    shown = numbers(question)
    steps = {after - before for before, after in pairwise(shown)}
    assert len(shown) == 4 and len(steps) == 1
    return str(shown[-1] + steps.pop())


SOLVERS: dict[str, Callable[[str], str]] = {
    "antonyms": opposite,
    "arithmetic_2digit": arithmetic,
    "boolean_expressions": boolean_expression,
    "capitals": capital,
    "larger_number": lambda question: str(max(numbers(question))),
    "last_letter": lambda question: quoted(question)[0][-1],
    "letter_counting": letter_count,
    "next_number": extrapolation,
    "odd_one_out": odd_letter,
    "word_sorting": sorted_words,
}


def score(name: str, response: str, answer: str) -> bool:
    """Score a response as the harness does with the task's filter and metric."""
    task = definition(name)
    found = re.findall(task["filter_list"][0]["filter"][0]["regex_pattern"], response)
    metric = task["metric_list"][0]
    pair = [found[0].strip() if found else "[invalid]", answer]
    if metric.get("ignore_case"):
        pair = [text.lower() for text in pair]
    if metric.get("ignore_punctuation"):
        pair = [re.sub(r"[^\w\s]|_", "", text) for text in pair]
    return pair[0] == pair[1]


def test_ten_tasks_with_one_yaml_and_one_jsonl_each() -> None:
    assert len(DEMO_TASKS) == 10
    assert sorted(SOLVERS) == DEMO_TASKS
    assert sorted(path.stem for path in TASK_DIR.glob("*.yaml")) == DEMO_TASKS
    assert sorted(path.stem for path in (TASK_DIR / "data").iterdir()) == DEMO_TASKS


def test_check_accepts_the_committed_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate_demo_tasks.main(check=True) == 0, capsys.readouterr().out


def test_check_finds_a_changed_file_and_writing_repairs_it(tmp_path: Path) -> None:
    assert generate_demo_tasks.main(check=True, data_dir=tmp_path) == 1
    assert generate_demo_tasks.main(check=False, data_dir=tmp_path) == 0
    changed = tmp_path / "capitals.jsonl"
    committed = changed.read_bytes()
    changed.write_bytes(committed.replace(b"Paris", b"Lyon"))
    assert generate_demo_tasks.main(check=True, data_dir=tmp_path) == 1
    assert generate_demo_tasks.main(check=False, data_dir=tmp_path) == 0
    assert changed.read_bytes() == committed


def test_facts_are_unambiguous() -> None:
    assert len(set(generate_demo_tasks.WORDS)) == len(generate_demo_tasks.WORDS)
    for facts in (generate_demo_tasks.CAPITALS, generate_demo_tasks.OPPOSITES):
        names = [name for pair in facts for name in pair]
        assert all(names) and len(set(names)) == len(names)


@pytest.mark.parametrize("name", DEMO_TASKS)
def test_samples_are_unique_and_right(name: str) -> None:
    samples = rows(name)
    assert [set(sample) for sample in samples] == [{"id", "question", "answer"}] * 200
    assert len({sample["id"] for sample in samples}) == 200
    assert len({sample["question"] for sample in samples}) == 200
    assert [s for s in samples if SOLVERS[name](s["question"]) != s["answer"]] == []


@pytest.mark.parametrize(
    ("name", "chance"), [("boolean_expressions", 0.5), ("odd_one_out", 0.25), ("letter_counting", 1 / 3)]
)
def test_constant_answer_scores_no_better_than_chance(name: str, chance: float) -> None:
    ((_, most),) = Counter(sample["answer"] for sample in rows(name)).most_common(1)
    assert most / 200 == pytest.approx(chance, abs=0.005)


@pytest.mark.parametrize("name", DEMO_TASKS)
def test_definition(name: str) -> None:
    task = definition(name)
    assert task["task"] == name
    assert task["custom_dataset"] == "!function demo_data.load"
    assert task["output_type"] == "generate_until"
    assert task["metadata"] == {"version": 1.0}
    assert (TASK_DIR / task["dataset_kwargs"]["data_files"][task["test_split"]]).stem == name
    assert task["generation_kwargs"]["temperature"] == 0.0
    assert 8 <= task["generation_kwargs"]["max_gen_toks"] <= 20
    assert [(m["metric"], m["aggregation"], m["higher_is_better"]) for m in task["metric_list"]] == [
        ("exact_match", "mean", True)
    ]


@pytest.mark.parametrize("name", DEMO_TASKS)
def test_examples_of_the_prompt_are_right_and_not_among_the_samples(name: str) -> None:
    task = definition(name)
    examples = task["fewshot_config"]["samples"]
    assert task["num_fewshot"] == len(examples)
    assert {e["question"] for e in examples}.isdisjoint(sample["question"] for sample in rows(name))
    if name not in ("antonyms", "capitals", "odd_one_out"):
        assert all(score(name, e["answer"], SOLVERS[name](e["question"])) for e in examples)


@pytest.mark.parametrize("name", DEMO_TASKS)
def test_filter_accepts_the_bare_answer_and_no_other(name: str) -> None:
    samples = rows(name)
    assert all(score(name, f" {sample['answer']}", sample["answer"]) for sample in samples)
    wrong = next(sample["answer"] for sample in samples if sample["answer"] != samples[0]["answer"])
    assert not score(name, wrong, samples[0]["answer"])
    assert not score(name, "", samples[0]["answer"])


@pytest.mark.parametrize(
    ("name", "response", "answer", "right"),
    [
        ("antonyms", 'The opposite of "hot" is "cold".', "cold", True),
        ("antonyms", 'The opposite of "hot" is "warm".', "hot", False),
        ("arithmetic_2digit", "65 - 57 = 8", "8", True),
        ("arithmetic_2digit", "65 - 57 = 12", "57", False),
        ("capitals", "The capital of the Philippines is Manila.", "Manila", True),
        ("capitals", "Manila is the capital of the Philippines.", "Philippines", True),
        ("capitals", "The capital of Vietnam is Hoi An.", "Hanoi", False),
        ("last_letter", '"chair" ends in "r".', "r", True),
        ("last_letter", '"chair" ends in "a".', "r", False),
        ("next_number", "9, 14, 19, 24, 29", "29", True),
        ("next_number", "17, 19, 21, 23, 24, 25", "25", False),
        ("word_sorting", "Apple, pear, plum.", "apple pear plum", True),
    ],
)
def test_filter_takes_the_answer_out_of_a_sentence(name: str, response: str, answer: str, right: bool) -> None:
    assert score(name, response, answer) is right
