"""Entry of the command `snakeval`, which looks at runs and ends them; runs are begun by Snakemake."""

import sys

from snakeval.commands import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
