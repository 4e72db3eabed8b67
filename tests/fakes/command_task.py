"""A user's program for the command harness: asks the endpoint a few sums and scores the answers.

Arguments, in any order: `--need FILE` ends with status 1 unless the file is there; `--wait FILE` waits for it after
the first answer and counts progress meanwhile; `--ask-until FILE` asks four questions at a time, again and again and
without patience for any failure, until the file is there.
"""

import argparse
import json
import os
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def ask(question: str) -> str:
    """Return the endpoint's answer."""
    request = urllib.request.Request(
        os.environ["SNAKEVAL_BASE_URL"] + "/chat/completions",
        data=json.dumps(
            {
                "model": os.environ["SNAKEVAL_MODEL"],
                "messages": [{"role": "user", "content": question}],
                "max_tokens": 4,
                "temperature": 0,
            }
        ).encode(),
        headers={
            "Content-Type": "application/json",
            "Authorization": f"Bearer {os.environ.get('SNAKEVAL_API_KEY', '')}",
        },
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return str(json.load(response)["choices"][0]["message"]["content"])


def main() -> None:
    """Run the task."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--need", type=Path)
    parser.add_argument("--wait", type=Path)
    parser.add_argument("--ask-until", type=Path)
    given = parser.parse_args()
    folder = Path(os.environ["SNAKEVAL_OUTPUT_DIR"])
    if given.need and not given.need.exists():
        sys.exit(f"{given.need} is missing")
    limit = int(os.environ.get("SNAKEVAL_LIMIT") or 3)
    right = 0
    for number in range(limit):
        right += str(2 * number) in ask(f"What is {number} plus {number}?")
        (folder / "progress.json").write_text(json.dumps({"done": number + 1, "total": limit}))
        while given.wait and not given.wait.exists():
            time.sleep(0.1)
        if given.ask_until:
            with ThreadPoolExecutor(4) as pool:
                while not given.ask_until.exists():
                    list(pool.map(ask, ["What is one plus one?"] * 4))
    value = right / limit
    stderr = (value * (1 - value) / limit) ** 0.5
    metrics = [{"name": "accuracy", "value": value, "stderr": stderr, "n": limit, "higher_is_better": True}]
    samples = {"asked": limit, "answered": limit}
    (folder / "result.json").write_text(json.dumps({"metrics": metrics, "samples": samples}))


if __name__ == "__main__":
    main()
