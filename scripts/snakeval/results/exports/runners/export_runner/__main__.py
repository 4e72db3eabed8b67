"""Entry: `python -P -m export_runner request.json` in the environment of the export.

Ends with 0 and outcome.json ({"sent": [...]}), or with 1 and outcome.json ({"error": "..."}), both beside the request.
"""

import importlib
import json
import sys
import traceback
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Run the request in the file named by the only argument; returns the exit status."""
    file = Path(arguments[0])
    request = json.loads(file.read_text(encoding="utf-8"))
    try:
        # Each module needs the packages of its own environment.
        sent = importlib.import_module(f".{request['format']}_export", __package__).export(request)
        outcome = {"sent": sent}
    except Exception as error:
        traceback.print_exc()
        outcome = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"}
    file.with_name("outcome.json").write_text(json.dumps(outcome), encoding="utf-8")
    return 1 if "error" in outcome else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
