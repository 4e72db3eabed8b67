"""What schemas say in words of ours, `x-...`, of a deployment type, an execution type, a destination of results."""

from collections.abc import Mapping
from dataclasses import dataclass

from snakeval.config.reading.tree import Node


@dataclass(frozen=True)
class FailureHint:
    """What to do when a server's log has a text.

    Attributes:
        when: A regular expression, upper and lower case alike.
        hint: A sentence for users.
    """

    when: str
    hint: str


@dataclass(frozen=True, eq=False)
class Engine:
    """What a deployment type's schema says of its servers in words of ours."""

    node: Node

    @property
    def has_server(self) -> bool:
        """Whether there is something to start."""
        return bool(self.node.get("x-has-server", True))

    @property
    def is_multi_node(self) -> bool:
        """Whether a server may use several nodes."""
        return bool(self.node.get("x-multi-node"))

    @property
    def refuses_unknown_keys(self) -> bool:
        """Whether requests may hold nothing but what the engine knows."""
        return bool(self.node.get("x-refuses-unknown-keys"))

    @property
    def environment(self) -> str | None:
        """The family of `envs/` that servers always run in, None when there is a choice or none is needed."""
        return self.node.get("x-environment")

    @property
    def health_path(self) -> str | None:
        """The path that answers 200 once the model is loaded, None when a deployment says which."""
        return self.node.get("x-health-path")

    @property
    def base_path(self) -> str:
        """Where the OpenAI-compatible API begins."""
        return str(self.node.get("x-base-path", "/v1"))

    @property
    def checks_api_key(self) -> bool:
        """Whether servers refuse requests without their key."""
        return bool(self.node.get("x-checks-api-key"))

    @property
    def failure_hints(self) -> tuple[FailureHint, ...]:
        """What logs of servers that did not start may hold."""
        return tuple(FailureHint(known["when"], known["hint"]) for known in self.node.get("x-failure-hints", ()))

    @property
    def protocols(self) -> tuple[str, ...]:
        """The kinds of request that servers answer, unless the deployment has `protocols`."""
        return tuple(self.node.get("x-protocols", ()))

    @property
    def protocols_note(self) -> str | None:
        """Why log-likelihoods are not among them."""
        return self.node.get("x-protocols-note")

    @property
    def one_of(self) -> tuple[str, ...]:
        """Keys of which exactly one is to be given."""
        return tuple(self.node.get("x-one-of", ()))

    @property
    def names_model_by(self) -> tuple[str, ...]:
        """Keys that the served model is named after, the first that is set."""
        return tuple(self.node.get("x-served-model-name-from", ()))

    @property
    def reserved_arguments(self) -> Mapping[str, str]:
        """Option of the engine that Snakeval sets itself -> what to use instead."""
        return dict(self.node.get("x-reserved-args", {}))


@dataclass(frozen=True, eq=False)
class Place:
    """What an execution type's schema says of the place where servers run in words of ours."""

    node: Node

    @property
    def is_this_machine(self) -> bool:
        """Whether that is the machine on which Snakemake runs."""
        return bool(self.node.get("x-on-this-machine"))

    @property
    def has_own_variables(self) -> bool:
        """Whether servers inherit nothing from this machine, so that its variables say nothing of theirs."""
        return bool(self.node.get("x-variables-elsewhere"))

    @property
    def rules(self) -> str | None:
        """The function with rules of this type alone, `module:function`, None without one."""
        return self.node.get("x-rules")


@dataclass(frozen=True, eq=False)
class Destination:
    """What the schema of exports says of where results go in words of ours."""

    node: Node

    @property
    def writer(self) -> str | None:
        """The function that writes a format, `module:function`."""
        return self.node.get("x-writer")

    @property
    def sender(self) -> str | None:
        """The function that sends results to a tracker, `module:function`."""
        return self.node.get("x-sender")

    @property
    def environment(self) -> str | None:
        """The family of `envs/` that it runs in, None where it needs none."""
        return self.node.get("x-environment")

    @property
    def address(self) -> str:
        """Of what a key is the address, empty for a key that is none."""
        return str(self.node.get("x-address", ""))

    @property
    def else_variable(self) -> str | None:
        """The variable that has to be there when the key is null, None without one."""
        return self.node.get("x-else-variable")
