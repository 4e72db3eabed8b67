"""Data in the forms in which harnesses look for public data sets: the layout is real, the questions are generated.

A process whose working directory holds such a folder, or a link to it, loads the harness' own task without a hub:
`datasets` takes a local folder of the same name first.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Rows = Sequence[Mapping[str, Any]]
NAMES = ("Ada", "Boris", "Chen", "Divya", "Emil", "Farah", "Goran", "Hana")
GOODS = ("apples", "books", "candles", "drums", "eggs", "flags", "globes", "hats")
LETTERS = "ABCDEFGHIJ"


def write_gsm8k(folder: Path, rows: int = 16) -> Path:
    """Write sums told as stories, in the form of `openai/gsm8k`; return the folder."""
    stories = [_story(number) for number in range(2 * rows)]
    told = [{"question": question, "answer": f"{steps}\n#### {right}"} for question, steps, right in stories]
    return _write(folder, "main", {"train": told[:rows], "test": told[rows:]})


def write_mmlu_pro(folder: Path, rows: int = 16) -> Path:
    """Write sums with ten answers to choose from, in the form of `TIGER-Lab/MMLU-Pro`; return the folder."""
    questions = [_ten_choices(number) for number in range(2 * rows)]
    return _write(folder, "default", {"validation": questions[:rows], "test": questions[rows:]})


def write_truthful_qa(folder: Path, rows: int = 8) -> Path:
    """Write sums with four answers, the right one first, in the form of `truthful_qa`; return the folder."""
    questions = []
    for number in range(rows):
        question, _, right = _story(number)
        chosen = {"choices": [str(right + more) for more in (0, 1, 10, 100)], "labels": [1, 0, 0, 0]}
        questions.append({"question": question, "mc1_targets": chosen, "mc2_targets": chosen})
    return _write(folder, "multiple_choice", {"validation": questions})


def _story(number: int) -> tuple[str, str, int]:
    """Return a question, the steps to its answer, and the answer; another one for each number."""
    name, goods = NAMES[number % len(NAMES)], GOODS[number * 3 % len(GOODS)]
    first, times, gone = 5 + number, 2 + number % 5, 1 + number % 4
    right = first * times - gone
    question = (
        f"{name} puts {first} {goods} into each of {times} boxes and then gives {gone} of the {goods} to a friend. "
        f"How many {goods} does {name} have left?"
    )
    steps = (
        f"The boxes hold {first}*{times} = <<{first}*{times}={first * times}>>{first * times} {goods}.\n"
        f"{name} has {first * times}-{gone} = <<{first * times}-{gone}={right}>>{right} {goods} left."
    )
    return question, steps, right


def _ten_choices(number: int) -> dict[str, Any]:
    """Return a question for a number, every second one for words: a small model answers both in different ways."""
    question, _, right = _story(number)
    place = number * 7 % len(LETTERS)
    values = [right + other - place for other in range(len(LETTERS))]
    name, goods = NAMES[number % len(NAMES)], GOODS[number * 3 % len(GOODS)]
    reasons = [f"Because there are {value} {goods} and {name} has sold none of them to a friend" for value in values]
    return {
        "question_id": number,
        "question": f"Why does {name} count {right} {goods}?" if number % 2 else question,
        "options": reasons if number % 2 else [str(value) for value in values],
        "answer": LETTERS[place],
        "answer_index": place,
        "cot_content": f"A: Let's think step by step. The answer is ({LETTERS[place]}).",
        "category": "math",
        "src": "generated",
    }


def _write(folder: Path, config: str, splits: Mapping[str, Rows]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    files = "".join(f"  - {{split: {split}, path: {split}.jsonl}}\n" for split in splits)
    head = f"---\nconfigs:\n- config_name: {config}\n  data_files:\n{files}---\n"
    (folder / "README.md").write_text(head, encoding="utf-8")
    for split, rows in splits.items():
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{split}.jsonl").write_text(lines, encoding="utf-8")
    return folder
