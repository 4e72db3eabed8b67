"""A program as a task: asks for sums, keeps its answers so that it can resume, and counts the right ones."""

import json
import os
import re
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

OUT = Path(os.environ["SNAKEVAL_OUTPUT_DIR"])
LIMIT, REPEATS = int(os.environ["SNAKEVAL_LIMIT"]), int(os.environ["SNAKEVAL_REPEATS"])
SEED = int(os.environ.get("SNAKEVAL_SEED", 0))
PATIENCE_S = float(os.environ.get("SNAKEVAL_REQUEST_TIMEOUT_S", 60))
KEPT = OUT / "answers.jsonl"
TRIES = 4
Answers = dict[tuple[int, int], str]


def earlier() -> Answers:
    """Return what an earlier attempt has kept; lines that are damaged are asked for again."""
    answers = {}
    for line in KEPT.read_bytes().splitlines() if KEPT.exists() else []:
        try:
            one = json.loads(line)
            answers[int(one["i"]), int(one["r"])] = str(one["answer"])
        except (ValueError, TypeError, KeyError):
            continue
    return answers


def request_for(i: int, r: int) -> urllib.request.Request:
    """Return the request for one sample and repeat."""
    question = f"{os.environ['SNAKEVAL_TASK']}: what is {i} + {i + 1}? {2 * i + 1} or {2 * i}?"
    body = {"model": os.environ["SNAKEVAL_MODEL"], "seed": SEED + r, "max_tokens": 8}
    body["messages"] = [{"role": "user", "content": question}]
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {os.environ['SNAKEVAL_API_KEY']}"}
    url = f"{os.environ['SNAKEVAL_BASE_URL']}/chat/completions"
    return urllib.request.Request(url, json.dumps(body).encode(), headers)


def ask(i: int, r: int) -> str:
    """Return the endpoint's answer; ends the program when there is none in a few tries."""
    for tried in range(1, TRIES + 1):
        try:
            with urllib.request.urlopen(request_for(i, r), timeout=PATIENCE_S) as response:
                choice = json.load(response)["choices"][0]
            if not isinstance(choice["message"]["content"], str) or choice["finish_reason"] is None:
                raise ValueError("no answer")
            return str(choice["message"]["content"])
        except Exception as error:
            if tried == TRIES:
                raise SystemExit(f"sample {i}, repeat {r}: {type(error).__name__}: {error}") from None
            time.sleep(0.25 * 2**tried)
    raise AssertionError("the last try returns or raises")


def all_answers() -> Answers:
    """Ask for what is missing, and count progress meanwhile."""
    answers = earlier()
    pairs = [(i, r) for r in range(REPEATS) for i in range(LIMIT) if (i, r) not in answers]
    with KEPT.open("ab") as file, ThreadPoolExecutor(int(os.environ.get("SNAKEVAL_PARALLELISM", 4))) as pool:
        file.write(b"\n")

        def add(pair: tuple[int, int]) -> None:
            answers[pair] = ask(*pair)
            file.write(json.dumps({"i": pair[0], "r": pair[1], "answer": answers[pair]}).encode() + b"\n")
            file.flush()
            new = OUT / f".progress.{pair[0]}.{pair[1]}"
            new.write_text(json.dumps({"done": len(answers), "total": LIMIT * REPEATS}), encoding="utf-8")
            new.replace(OUT / "progress.json")

        list(pool.map(add, pairs))
    return answers


def row(i: int, r: int, answer: str) -> dict[str, Any]:
    """Return one line of samples.jsonl."""
    expected = str(2 * i + 1)
    right = re.findall(r"\d+", answer)[-1:] == [expected]
    return {"doc_id": i, "repeat": r, "answer": answer, "expected": expected, "metrics": {"accuracy": float(right)}}


def main() -> None:
    """Perform the task."""
    answers = all_answers()
    rows = [row(i, r, answers[i, r]) for i in range(LIMIT) for r in range(REPEATS)]
    value = sum(one["metrics"]["accuracy"] for one in rows) / len(rows)
    (OUT / "samples.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    metric = {"name": "accuracy", "value": value, "n": LIMIT, "higher_is_better": True}
    samples = {"asked": LIMIT, "answered": LIMIT}
    result = {"metrics": [metric], "samples": samples, "versions": {"chaos": "1"}}
    (OUT / "result.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
