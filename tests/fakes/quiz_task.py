"""A user's program for the command harness that records its samples: asks questions, seven in ten of them solvable.

The endpoint is one of tests/fakes/openai_server.py, which answers what the question tells it to. `--version` is what
the program calls itself in its result.
"""

import argparse
import http.client
import json
import math
import os
from pathlib import Path
from urllib.parse import urlsplit


def main() -> None:
    """Run the task."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--version", default="1")
    version = parser.parse_args().version
    folder, limit = Path(os.environ["SNAKEVAL_OUTPUT_DIR"]), int(os.environ.get("SNAKEVAL_LIMIT") or 1000)
    address = urlsplit(os.environ["SNAKEVAL_BASE_URL"])
    connection = http.client.HTTPConnection(address.netloc, timeout=60)
    headers = {"Content-Type": "application/json"}
    samples = []
    for number in range(limit):
        expected = f"right {number}"
        question = f"Question {number} [[answer:{expected if number % 10 < 7 else 'no idea'}]]"
        messages = [{"role": "user", "content": question}]
        body = {"model": os.environ["SNAKEVAL_MODEL"], "temperature": 0, "messages": messages}
        connection.request("POST", f"{address.path}/chat/completions", json.dumps(body), headers)
        answer = json.load(connection.getresponse())["choices"][0]["message"]["content"]
        score = {"accuracy": float(answer == expected)}
        samples.append({"doc_id": number, "answer": answer, "expected": expected, "metrics": score})
    value = sum(sample["metrics"]["accuracy"] for sample in samples) / limit
    stderr = math.sqrt(value * (1 - value) / (limit - 1))
    metrics = [{"name": "accuracy", "value": value, "stderr": stderr, "n": limit, "higher_is_better": True}]
    (folder / "samples.jsonl").write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    counts = {"asked": limit, "answered": limit}
    result = {"metrics": metrics, "samples": counts, "versions": {"quiz": version}}
    (folder / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
