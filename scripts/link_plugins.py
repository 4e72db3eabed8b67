"""Let this environment's Snakemake find the plugins of the repository: a .pth file that names their folders."""

import sys
import sysconfig
from pathlib import Path

if __name__ == "__main__":
    folder = Path(sys.argv[1]).resolve()
    # Beside the packages, a project that others may install has its package in a folder `src` of its own.
    folders = [folder, *sorted(folder.glob("*/src"))]
    text = "".join(f"{one}\n" for one in folders)
    (Path(sysconfig.get_path("purelib")) / "snakeval.pth").write_text(text, encoding="utf-8")
