"""Stand between one task's harness and its endpoint; rule evaluate starts this."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from snakeval.gateway.server import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
