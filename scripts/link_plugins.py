"""Let this environment's Snakemake find the plugins of the repository: a .pth file that names their folder."""

import sys
import sysconfig
from pathlib import Path

if __name__ == "__main__":
    folder = Path(sys.argv[1]).resolve()
    (Path(sysconfig.get_path("purelib")) / "snakeval.pth").write_text(f"{folder}\n", encoding="utf-8")
