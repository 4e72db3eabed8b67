"""What the processes of a run on Lepton tell each other beside the servers' records."""

import re
import secrets
import time

from snakeval.run.paths import RunPaths
from snakeval.run.record import Damage, say_once
from snakeval.system.files import locked, write_text

KEPT_S = 20.0


def known_owner(paths: RunPaths) -> str | None:
    """Return the run's own random number, None when it has none yet; a damaged file is told and counts as none."""
    file = paths.lepton_owner
    try:
        text = file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        say_once(Damage(file, str(error)))
        return None
    if re.fullmatch(r"[0-9a-f]{16}", text):
        return text
    say_once(Damage(file, "it does not hold 16 hexadecimal digits"))
    return None


def run_owner(paths: RunPaths) -> str:
    """Return the run's own random number: two users may have runs of one name at the same path of two volumes."""
    file = paths.lepton_owner
    with locked(file.with_name(f"{file.name}.lock")):
        owner = known_owner(paths)
        if owner is None:
            owner = secrets.token_hex(8)
            write_text(file, owner)
        return owner


def mark_kept(paths: RunPaths) -> None:
    """Say that the records of servers are up to date: others need not ask Lepton."""
    paths.keeper.touch()


def is_kept(paths: RunPaths) -> bool:
    """Return whether a main process keeps the records of servers up to date."""
    try:
        return time.time() - paths.keeper.stat().st_mtime < KEPT_S
    except FileNotFoundError:
        return False
