"""Run `snakemake --lint` and fail on every finding that the project does not answer for."""

import subprocess
import sys

# Rules run in the environment of `make setup`, and build hash-pinned virtual environments for everything else: one
# mechanism for laptops, clusters and clouds, where conda and containers are not always at hand.
ACCEPTED = ("Specify a conda environment or container for each rule.",)


def main() -> int:
    """Print what is left of the findings; returns the exit status."""
    command = [sys.executable, "-m", "snakemake", "--lint"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    output = done.stdout + done.stderr
    place, findings, seen = "", [], 0
    for line in output.splitlines():
        if line.startswith("Lints for "):
            place = line.removeprefix("Lints for ").rstrip(":")
        elif line.startswith("    * "):
            seen += 1
            if line.removeprefix("    * ").rstrip(":") not in ACCEPTED:
                findings.append(f"{place}: {line.strip()}")
    if done.returncode != 0 and seen == 0:
        print(output, file=sys.stderr)
        return done.returncode
    print("\n".join(findings) or "snakemake --lint: clean")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
