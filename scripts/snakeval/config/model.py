"""What the rest of Snakeval knows of a configuration: frozen, complete, validated."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from snakeval.config.container_syntax import CONTAINER, DEPLOYMENT, EVALUATION, NONE, Mount, named_mounts
from snakeval.config.reading.tree import Node
from snakeval.config.sampling import Sampling, Traffic
from snakeval.endpoint import Protocol


@dataclass(frozen=True)
class Deployment:
    """One model served one way.

    Attributes:
        name: Unique in the run; names the folder of its results.
        type: One of the deployment types (`schemas/deployment/<type>.schema.yaml`).
        served_model_name: The name that the endpoint answers to.
        port: A fixed port, or None to take a free one.
        env_vars: Environment of the server, name -> "host:NAME", "lit:VALUE", "runtime:NAME".
        options: The keys of its type, defaults filled in, as validated by its schema.
        fingerprint: Hash of everything here that can change a score.
        components: What the hash is made of, flat and without secrets, so that differences can be named.
        env_prefix: Of an auxiliary deployment, what the names of the variables begin with that tell tasks of it.
    """

    name: str
    type: str
    served_model_name: str
    port: int | None
    env_vars: Mapping[str, str]
    options: Node
    fingerprint: str
    components: Node = field(default_factory=lambda: Node({}))
    env_prefix: str = ""

    @property
    def is_in_container(self) -> bool:
        """Whether its server runs in a container."""
        return bool(self.options.get("runtime") == CONTAINER)

    @property
    def image(self) -> str:
        """The image of its container, empty without one."""
        return self.options.get("image") or ""

    @property
    def checkpoint_path(self) -> str | None:
        """Where its weights are, None when a hub has them or nothing is known of them."""
        return self.options.get("checkpoint_path")

    @property
    def hub_id(self) -> str | None:
        """What a hub calls its weights, None when they are a path or nothing is known of them."""
        return self.options.get("hf_model_handle")

    @property
    def takes_hub_ids(self) -> bool:
        """Whether its engine loads weights from a hub too, so that a path is a folder as the hub has them."""
        return "hf_model_handle" in self.options

    @property
    def has_own_command(self) -> bool:
        """Whether the user's own command starts its server, of which nothing is known then."""
        return self.options.get("command") is not None

    @property
    def max_concurrency(self) -> int | None:
        """How many requests it takes at a time, None for any number."""
        return self.options.get("max_concurrency")


@dataclass(frozen=True)
class Execution:
    """Where and how servers run; nothing here changes a score."""

    type: str
    output_dir: Path
    idle_timeout_s: int
    readiness_timeout_s: int
    patience_s: int
    max_restarts: int
    max_deployments: int
    options: Node

    @property
    def container_runtime(self) -> str | None:
        """What runs containers, None when nothing was chosen, or when there is nothing to choose."""
        chosen: str = self.options.get("container_runtime", NONE)
        return None if chosen == NONE else chosen

    @property
    def container_args(self) -> tuple[str, ...]:
        """More options of the container runtime."""
        return tuple(self.options["container_args"])

    @property
    def mounts_home(self) -> bool:
        """Whether containers see the user's home folder."""
        return bool(self.options["mounts"]["mount_home"])

    @property
    def server_mounts(self) -> tuple[Mount, ...]:
        """What the containers of all servers see beside their own files."""
        return named_mounts(self.options, DEPLOYMENT)

    @property
    def task_mounts(self) -> tuple[Mount, ...]:
        """What the containers of all tasks see beside their own files."""
        return named_mounts(self.options, EVALUATION)

    @property
    def num_nodes(self) -> int:
        """The nodes of all instances of a server together; 1 where the backend knows no others."""
        return int(self.options.get("num_nodes") or 1)

    @property
    def num_instances(self) -> int:
        """How many instances every server of the run has; 1 where the backend knows no others."""
        return int(self.options.get("num_instances") or 1)

    @property
    def nodes_per_instance(self) -> int:
        """The nodes of one instance; the configuration's rules see to it that the division leaves no rest."""
        return self.num_nodes // self.num_instances

    @property
    def pending_timeout_s(self) -> float:
        """How long a server may wait in a queue, infinity where there is none."""
        seconds: float = self.options.get("pending_timeout_s", float("inf"))
        return seconds

    @property
    def evaluates_in_allocation(self) -> bool:
        """Whether tasks run beside their server, in what it was given."""
        return bool(self.options.get("evaluate_in") == "allocation")


@dataclass(frozen=True)
class Task:
    """One benchmark configuration of one harness.

    Attributes:
        name: Unique in the run; names the folder of its result.
        harness: The program that knows it: "lm-eval", "command", or a harness of config/harnesses/.
        task: What the harness calls it.
        protocol: The kind of request that it sends.
        limit: Number of samples of a smoke run; None for all.
        repeats: Generations per sample.
        settings: The other keys of its schema (sampling, concurrency, command, ...), defaults filled in.
        env_vars: Environment of the harness, as `Deployment.env_vars`.
        definition: The YAML that defines it, None for a task that the harness ships.
        fingerprint: Hash of everything here that can change a score.
        module: The module of snakeval.harnesses that runs the harness; empty for the one of its name.
        components: As `Deployment.components`.
        environment: The environment that the harness runs in, where it is not called like the harness.
        auxiliaries: Names of the auxiliary deployments that it uses.
        container: The image that the harness runs in, empty for one that runs on the machine itself.
    """

    name: str
    harness: str
    task: str
    protocol: Protocol
    limit: int | None
    repeats: int
    settings: Node
    env_vars: Mapping[str, str]
    definition: Path | None
    fingerprint: str
    components: Node = field(default_factory=lambda: Node({}))
    module: str = ""
    environment: str = ""
    auxiliaries: tuple[str, ...] = ()
    container: str = ""

    @property
    def sampling(self) -> Sampling:
        """How answers are drawn."""
        return Sampling(**{part.name: self.settings.get(part.name) for part in fields(Sampling)})

    @property
    def traffic(self) -> Traffic:
        """How requests are sent."""
        return Traffic(**{part.name: self.settings.get(part.name) for part in fields(Traffic)})

    @property
    def extra(self) -> Node:
        """Settings that harnesses have no common word for, under the harness's names."""
        return Node(self.settings.get("extra") or {})

    @property
    def adapter_config(self) -> Node:
        """What nemo-evaluator's adapter is told."""
        return Node(self.settings.get("adapter_config") or {})

    @property
    def dataset_dir(self) -> str | None:
        """The folder of the task's data, None where it is found by name."""
        return self.settings.get("dataset_dir")


@dataclass(frozen=True)
class Comparison:
    """One deployment judged against another.

    Attributes:
        name: Unique in the run; names the files in `compare/`.
        deployment: The candidate, a deployment of the run.
        baseline: Name of the other deployment.
        baseline_results: Folder of the earlier run that the baseline belongs to, None for this run.
        accept_differences: Names or patterns of settings that may differ.
        alpha: Level of the tests.
        gate: Policy file, None for no gate.
    """

    name: str
    deployment: str
    baseline: str
    baseline_results: Path | None
    accept_differences: tuple[str, ...]
    alpha: float
    gate: Path | None


@dataclass(frozen=True)
class Export:
    """One format or tracker that results go to.

    Attributes:
        format: One of the formats of `export.formats`, or "mlflow" or "wandb".
        settings: The keys of a tracker, defaults filled in, secrets as names; empty for a format.
    """

    format: str
    settings: Node


@dataclass(frozen=True)
class Config:
    """A whole run.

    Attributes:
        run: Name of the run; results are in `folder`.
        deployments: In the order of the configuration.
        tasks: Every task runs against every deployment.
        data_dir: Folder that harnesses look up datasets in, or None.
        task_dirs: Folders with task definitions, the repository's own last.
        resolved: The effective configuration, secrets as names only, ready to be written as YAML.
        comparisons: In the order of the configuration.
        exports: Formats, then trackers.
        notices: What the user should know of how the configuration was read, one line each.
        auxiliaries: Deployments that tasks use beside the one that they evaluate; none of them is evaluated.
    """

    run: str
    deployments: tuple[Deployment, ...]
    execution: Execution
    tasks: tuple[Task, ...]
    data_dir: Path | None
    task_dirs: tuple[Path, ...]
    resolved: Node
    comparisons: tuple[Comparison, ...] = ()
    exports: tuple[Export, ...] = ()
    notices: tuple[str, ...] = ()
    auxiliaries: tuple[Deployment, ...] = ()

    @property
    def folder(self) -> Path:
        """Where the results of the run are; what lies where in it, `snakeval.run.paths` says."""
        return self.execution.output_dir / self.run

    @property
    def served(self) -> tuple[Deployment, ...]:
        """All deployments of the run, those that are evaluated first."""
        return (*self.deployments, *self.auxiliaries)

    def used_by(self, task: Task) -> tuple[Deployment, ...]:
        """The auxiliary deployments that a task uses."""
        return tuple(one for one in self.auxiliaries if one.name in task.auxiliaries)
