"""A user's program for the command harness that lets a judge answer too; its argument is the judge's URL.

With a second argument it waits, after the judge's first answer, until that file is there.
"""

import json
import os
import sys
import time
import urllib.request
from pathlib import Path


def ask(url: str, model: str, key: str, text: str) -> str:
    """Return the answer of a chat model."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 4}).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as response:
        return str(json.load(response)["choices"][0]["message"]["content"])


def main() -> None:
    """Run the task."""
    told, folder = os.environ, Path(os.environ["SNAKEVAL_OUTPUT_DIR"])
    url = told["JUDGE_CHAT_URL"]
    if sys.argv[1] != url or f"{told['JUDGE_BASE_URL']}/chat/completions" != url:
        raise SystemExit(f"told {sys.argv[1]} and {url}")
    own = f"{told['SNAKEVAL_BASE_URL']}/chat/completions"
    number = int(told["SNAKEVAL_LIMIT"])
    for _ in range(number):
        answer = ask(own, told["SNAKEVAL_MODEL"], told["SNAKEVAL_API_KEY"], "What is 1 + 1?")
        ask(url, told["JUDGE_MODEL_ID"], told["JUDGE_API_KEY"], f"Is {answer!r} right?")
        (folder / "progress.json").write_text(json.dumps({"done": 1, "total": number}))
        while len(sys.argv) > 2 and not Path(sys.argv[2]).exists():
            time.sleep(0.1)
    result = {
        "metrics": [{"name": "acc", "value": 1.0, "n": number}],
        "samples": {"asked": number, "answered": number},
        "versions": {"judge": told["JUDGE_MODEL_ID"]},
    }
    (folder / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
