"""Calls Inspect's own command line as a task of harness `command`, and reports what it found.

Usage: python inspect_by_hand.py INSPECT TASK [OPTION ...]; the rest comes from variables (docs/command-harness.md).
"""

import json
import os
import subprocess
import sys
from pathlib import Path


def main(inspect: str, task: str, *more: str) -> None:
    """Run `inspect eval` with the settings that harness `inspect` would have."""
    told = {name.removeprefix("SNAKEVAL_"): value for name, value in os.environ.items() if name.startswith("SNAKEVAL_")}
    folder = Path(told["OUTPUT_DIR"]).absolute()
    options = {
        "--model": f"openai-api/local/{told['MODEL']}",
        "--model-base-url": told["BASE_URL"],
        "--limit": told["LIMIT"],
        "--max-tokens": told["MAX_NEW_TOKENS"],
        "--temperature": told["TEMPERATURE"],
        "--seed": told["SEED"],
        "--log-dir": str(folder / "by-hand"),
        "--log-format": "json",
        "--display": "none",
    }
    command = [inspect, "eval", task, *(word for pair in options.items() for word in pair), *more]
    environ = {**os.environ, "LOCAL_API_KEY": told["API_KEY"], "INSPECT_DISABLE_UPDATE_CHECK": "1"}
    # Where inspect_evals finds a copy of a dataset under its own name.
    subprocess.run(command, env=environ, cwd=told.get("DATA_DIR"), check=True)
    (file,) = (folder / "by-hand").glob("*.json")
    log = json.loads(file.read_text(encoding="utf-8"))
    count, (score,) = len(log["samples"]), log["results"]["scores"]
    found = {name: metric["value"] for name, metric in score["metrics"].items()}
    metric = {"name": "accuracy", "value": found["accuracy"], "stderr": found["stderr"], "n": count}
    result = {"metrics": [metric], "samples": {"asked": count, "answered": count}}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    with (folder / "samples.jsonl").open("w", encoding="utf-8") as lines:
        for sample in log["samples"]:
            answer = sample["output"]["choices"][0]["message"]["content"]
            lines.write(json.dumps({"doc_id": sample["id"], "answer": answer}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
