"""The names of all files and folders of a run (a harness's own: `harness_paths`); other modules join no names."""

from dataclasses import dataclass
from pathlib import Path

STATE_DIR = Path(".snakemake")  # Snakemake's own folder in the working directory.


@dataclass(frozen=True)
class ServerPaths:
    """The files of one deployment's server, all in one folder."""

    folder: Path

    @property
    def deployment(self) -> Path:
        """What is served: the tracked output of rule deploy."""
        return self.folder / "deployment.json"

    @property
    def launch_script(self) -> Path:
        """What was started, as a script; a record, not tracked."""
        return self.folder / "launch.sh"

    @property
    def secrets(self) -> Path:
        """API key and resolved environment of the living server; mode 0600, removed with it."""
        return self.folder / "secrets.json"

    @property
    def state(self) -> Path:
        """State, address and process ids, written by the supervisor."""
        return self.folder / "state.json"

    @property
    def state_lock(self) -> Path:
        """Held while several processes change the state."""
        return self.folder / ".state.lock"

    @property
    def starter(self) -> Path:
        """Process id of the supervisor on this machine, until it has registered itself."""
        return self.folder / "supervisor.json"

    @property
    def log(self) -> Path:
        """Output of supervisor and server, all starts of one run after another."""
        return self.folder / "server.log"

    @property
    def claims(self) -> Path:
        """One heartbeat file for each process that uses the server right now."""
        return self.folder / "claims"

    @property
    def lock(self) -> Path:
        """Held while the server is started or stopped."""
        return self.folder / ".lock"

    @property
    def stopped(self) -> Path:
        """Which session a user has stopped the deployment in; that session starts its server no more."""
        return self.folder / "stopped.json"

    @property
    def failures(self) -> Path:
        """How often the server could not be started in the latest session, and why."""
        return self.folder / "failures.json"

    @property
    def deploy_log(self) -> Path:
        """Log of rule deploy."""
        return self.folder / "deploy.log"

    @property
    def teardown(self) -> Path:
        """The record of a finished deployment: the tracked output of rule teardown."""
        return self.folder / "teardown.json"

    @property
    def teardown_log(self) -> Path:
        """Log of rule teardown."""
        return self.folder / "teardown.log"

    @property
    def instances(self) -> Path:
        """Where the files of its instances are, when it has several."""
        return self.folder / "instances"

    def instance(self, number: int) -> "ServerPaths":
        """Return the files of one instance, which has a supervisor of its own."""
        return ServerPaths(self.instances / str(number))

    @property
    def router_log(self) -> Path:
        """Output of the router in front of the instances."""
        return self.instances / "router.log"

    @property
    def run(self) -> "RunPaths":
        """The run that the server belongs to."""
        return RunPaths(self.folder.parents[1])

    @property
    def leases(self) -> list[Path]:
        """The leases on the server that exist."""
        return self.run.leases(self.folder.parent.name)


@dataclass(frozen=True)
class TaskPaths:
    """The files of one task on one deployment."""

    folder: Path

    @property
    def lease(self) -> Path:
        """The task's claim on a running deployment: temp() output of rule ready."""
        return self.folder / "lease.json"

    @property
    def result(self) -> Path:
        """Scores, counts, settings and versions; the summary reads nothing else of a task."""
        return self.folder / "result.json"

    @property
    def damaged_result(self) -> Path:
        """A result that could not be read when the run was planned; the task is evaluated again."""
        return self.folder / "result.json.damaged"

    @property
    def samples(self) -> Path:
        """One JSON line per sample and repeat, gzip."""
        return self.folder / "samples.jsonl.gz"

    @property
    def tracked(self) -> tuple[Path, Path]:
        """The outputs of rule evaluate."""
        return self.result, self.samples

    @property
    def log(self) -> Path:
        """Log of rule evaluate, all attempts of the latest call."""
        return self.folder / "log.txt"

    @property
    def benchmark(self) -> Path:
        """What rule evaluate took of the machine, as Snakemake measures it."""
        return self.folder / "benchmark.tsv"

    @property
    def ready_log(self) -> Path:
        """Log of rule ready."""
        return self.folder / "ready.log"

    @property
    def attempt(self) -> Path:
        """How the latest attempt goes, written by itself; not tracked."""
        return self.folder / "attempt.json"

    @property
    def harness(self) -> Path:
        """The harness's own files, and what lets a killed task resume."""
        return self.folder / "harness"


def auxiliary_user(deployment: str, task: str) -> str:
    """Return what a task is called at an auxiliary deployment, where tasks of several deployments meet."""
    return f"{deployment}@{task}"


@dataclass(frozen=True)
class RunPaths:
    """The folder of a run, `<output_dir>/<run>`."""

    root: Path

    def server(self, deployment: str) -> ServerPaths:
        """Return the server files of a deployment."""
        return ServerPaths(self.root / deployment / "server")

    def task(self, deployment: str, task: str) -> TaskPaths:
        """Return the files of a task on a deployment."""
        return TaskPaths(self.root / deployment / task)

    def auxiliary(self, name: str, deployment: str, task: str) -> TaskPaths:
        """Return the files of what a task needs of an auxiliary deployment: lease, log and attempt of rule ready."""
        return TaskPaths(self.root / name / auxiliary_user(deployment, task))

    def auxiliaries_of(self, deployment: str, task: str) -> list[TaskPaths]:
        """Return those of all auxiliary deployments that the task has asked for."""
        return [TaskPaths(folder) for folder in sorted(self.root.glob(f"*/{auxiliary_user(deployment, task)}"))]

    def leases(self, deployment: str = "*") -> list[Path]:
        """Return the lease files that exist, of one deployment or of all."""
        return sorted(self.root.glob(f"{deployment}/*/lease.json"))

    def servers(self) -> list[ServerPaths]:
        """Return the files of every server that there is a folder of."""
        return [ServerPaths(folder) for folder in sorted(self.root.glob("*/server"))]

    @property
    def resolved_config(self) -> Path:
        """The effective configuration, secrets as names only."""
        return self.root / "config.resolved.yaml"

    @property
    def snakemake(self) -> Path:
        """The Snakemake that works on the run, or the last one that did; not tracked."""
        return self.root / "snakemake.json"

    @property
    def lock_file(self) -> Path:
        """Versions, digests and revisions that made the numbers."""
        return self.root / "lock.yaml"

    @property
    def session(self) -> Path:
        """Which call of Snakemake owns the run right now, touched as long as it lives."""
        return self.root / "session.json"

    @property
    def queue(self) -> Path:
        """What the batch system said last of the run's servers; shared by all processes that watch them."""
        return self.root / ".queue.json"

    @property
    def slots_lock(self) -> Path:
        """Held for the moment in which a deployment takes one of `max_deployments` slots."""
        return self.root / ".slots.lock"

    @property
    def lepton_owner(self) -> Path:
        """A random number that tells the run's workloads on Lepton from all others."""
        return self.root / ".lepton-owner"

    @property
    def keeper(self) -> Path:
        """Touched by the main process as long as it keeps the state of the run's endpoints on Lepton."""
        return self.root / ".lepton-keeper"

    def summary(self, suffix: str) -> Path:
        """Return the summary in one format: csv, json or md."""
        return self.root / f"summary.{suffix}"

    @property
    def aggregate_log(self) -> Path:
        """Log of rule aggregate."""
        return self.root / "aggregate.log"

    @property
    def report(self) -> Path:
        """The whole run as one page."""
        return self.root / "report.html"

    @property
    def report_log(self) -> Path:
        """Log of rule report."""
        return self.root / "report.log"

    def comparison(self, name: str, suffix: str) -> Path:
        """Return a file of a comparison: json, md, passed (its gate let it pass), compare.log or gate.log."""
        return self.root / "compare" / f"{name}.{suffix}"

    def export(self, format: str) -> Path:
        """Return the folder of an export."""
        return self.root / "exports" / format

    def export_record(self, format: str) -> Path:
        """Return what an export says of itself when it is complete: the tracked output of rule export."""
        return self.export(format) / "record.json"

    def export_log(self, format: str) -> Path:
        """Return the log of rule export, beside what it writes."""
        return self.export(format) / "log.txt"


def finished_tasks(deployment: Path) -> list[TaskPaths]:
    """Return the files of the tasks that have a result, from a deployment's folder in a run."""
    return [TaskPaths(result.parent) for result in sorted(deployment.glob("*/result.json"))]


def all_finished_tasks(output_dir: Path) -> list[TaskPaths]:
    """Return the files of the tasks that have a result, of all runs in a folder."""
    return [TaskPaths(result.parent) for result in sorted(output_dir.glob("*/*/*/result.json"))]


def all_started_servers(output_dir: Path) -> list[ServerPaths]:
    """Return the files of the servers that were ever started, of all runs in a folder."""
    return [ServerPaths(state.parent) for state in sorted(output_dir.glob("*/*/server/state.json"))]


def run_lock(state_dir: Path, run: str) -> Path:
    """Return what whoever works on a run holds, in Snakemake's own folder of the working directory."""
    return state_dir / "snakeval" / f"{run}.lock"


def run_locks(state_dir: Path) -> list[Path]:
    """Return the locks of all runs of the working directory; their stems are the names of the runs."""
    return sorted(run_lock(state_dir, "").parent.glob("*.lock"))
