"""Install uv, hash-pinned, into a folder of its own: the one step that needs nothing but Python."""

import subprocess
import sys
from pathlib import Path

MINIMUM = (3, 11)


def main(folder: Path, lock: Path) -> None:
    """Make a virtual environment in `folder` and install what `lock` pins into it."""
    if sys.version_info < MINIMUM:
        sys.exit(
            f"error: Snakeval needs Python 3.11 or newer, this is {sys.version.split()[0]}; try make PYTHON=python3.12"
        )
    try:
        import ensurepip  # noqa: F401
        import venv
    except ImportError:
        sys.exit("error: this Python cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv")
    venv.create(folder, with_pip=True, clear=True)
    command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(lock)]
    subprocess.run([*command, "--disable-pip-version-check"], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
