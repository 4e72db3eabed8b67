"""Link the profiles of this repository into the user's Snakemake folder: `snakemake --profile slurm` then works."""

import os
import sys
from pathlib import Path

PROFILES = Path(__file__).resolve().parents[2] / "profiles"
# Loaded by itself with this workflow; in the user's folder it would be loaded with every other workflow as well.
LEFT_OUT = ("default",)


def install(profiles: Path, target: Path) -> list[str]:
    """Link every profile into `target`; return the problems. Safe to call twice; nothing of the user's is replaced."""
    problems = []
    target.mkdir(parents=True, exist_ok=True)
    for profile in sorted(path.parent for path in profiles.glob("*/config.yaml")):
        link = target / profile.name
        if profile.name in LEFT_OUT:
            continue
        if link.is_symlink() and link.resolve() == profile:
            print(f"{link} is there already")
        elif link.is_symlink() or link.exists():
            problems.append(f"{link} is another profile; rename it, or call ours by its path: --profile {profile}")
        else:
            link.symlink_to(profile, target_is_directory=True)
            print(f"{link} -> {profile}")
    return problems


def main() -> int:
    """Install into the folder in which Snakemake looks profiles up by name."""
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    problems = install(PROFILES, config / "snakemake")
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
