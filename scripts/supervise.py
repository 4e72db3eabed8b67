"""Run and watch one model server; `launch.sh` starts this."""

import sys

from snakeval.supervisor import main

if __name__ == "__main__":
    sys.exit(main())
