"""Run the instances of one server behind a router; `launch.sh` has the supervisor start this."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from snakeval.deployments.supervisor.front import main

if __name__ == "__main__":
    sys.exit(main())
