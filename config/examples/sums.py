"""Asks the endpoint for sums and counts the right ones; docs/command-harness.md says what Snakeval tells and wants."""

import json
import os
import re
import urllib.request
from pathlib import Path

env = os.environ
limit = int(env.get("SNAKEVAL_LIMIT", 100))


def ask(question: str) -> str:
    """Return the model's answer; a request that fails ends the program, and with it the task."""
    body = {
        "model": env["SNAKEVAL_MODEL"],
        "messages": [{"role": "user", "content": question}],
        "max_tokens": int(env.get("SNAKEVAL_MAX_NEW_TOKENS", 32)),
        "seed": int(env.get("SNAKEVAL_SEED", 0)),
        "temperature": float(env.get("SNAKEVAL_TEMPERATURE", 0)),
    }
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {env.get('SNAKEVAL_API_KEY', '')}"}
    request = urllib.request.Request(f"{env['SNAKEVAL_BASE_URL']}/chat/completions", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=float(env.get("SNAKEVAL_REQUEST_TIMEOUT_S", 300))) as response:
        return str(json.load(response)["choices"][0]["message"]["content"])


samples = []
for i in range(limit):
    answer = ask(f"What is {i} + {i + 1}? Answer with the number only.")
    samples.append(
        {"a": i, "b": i + 1, "answer": answer, "correct": re.findall(r"\d+", answer)[-1:] == [str(2 * i + 1)]}
    )

accuracy = {"name": "accuracy", "value": sum(bool(sample["correct"]) for sample in samples) / limit, "n": limit}
result = {
    "metrics": [accuracy | {"higher_is_better": True}],
    "samples": {"asked": limit, "answered": len(samples)},
    "versions": {"sums": "1.0"},
}
out = Path(env["SNAKEVAL_OUTPUT_DIR"])
(out / "samples.jsonl").write_text("".join(json.dumps(sample) + "\n" for sample in samples), encoding="utf-8")
(out / "result.json").write_text(json.dumps(result), encoding="utf-8")
