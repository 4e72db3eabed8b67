"""A user's program for the command harness: a thousand answers that need no model, a tenth of them spoiled on request.

The model named "spoiled" gives the answers of every other model, but for one in ten, picked at random once and for
all, where it says the opposite.
"""

import json
import os
import random
from pathlib import Path
from typing import Any


def main() -> None:
    """Write result.json and samples.jsonl."""
    folder = Path(os.environ["SNAKEVAL_OUTPUT_DIR"])
    count = int(os.environ.get("SNAKEVAL_LIMIT") or 1000)
    right, spoiled = random.Random(1), random.Random(2)
    answers: list[dict[str, Any]] = []
    for number in range(count):
        good, hit = right.random() < 0.8, spoiled.random() < 0.1
        wrong = hit and os.environ["SNAKEVAL_MODEL"] == "spoiled"
        answers.append({"doc_id": number, "metrics": {"accuracy": 0.0 if wrong else float(good)}})
    value = sum(one["metrics"]["accuracy"] for one in answers) / count
    metric = {"name": "accuracy", "value": value, "n": count, "higher_is_better": True}
    (folder / "samples.jsonl").write_text("".join(json.dumps(one) + "\n" for one in answers), encoding="utf-8")
    result = {"metrics": [metric], "samples": {"asked": count, "answered": count}}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
