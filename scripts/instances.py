"""Run the instances of one server behind a router; `launch.sh` has the supervisor start this."""

import sys

from snakeval.instances.front import main

if __name__ == "__main__":
    sys.exit(main())
