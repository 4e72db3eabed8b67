"""What rules and checks have to know of an execution type beside its keys: read from the `x-` keys of its schema."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from snakeval.config.container_syntax import NONE
from snakeval.config.reading.schema_files import Schemas
from snakeval.system.checkout import SCHEMAS


@dataclass(frozen=True)
class ExecutionType:
    """One kind of place where servers run.

    Attributes:
        name: The value of `execution.type`.
        on_this_machine: Whether servers run on the machine where Snakemake runs. Then its ports, programs and images
            can be checked beforehand.
        task_resources: Keys of the type -> the resource of Snakemake's executor that they are for tasks.
        container_runtimes: What may run containers there; empty where nothing does.
    """

    name: str
    on_this_machine: bool
    task_resources: Mapping[str, str]
    container_runtimes: tuple[str, ...]


@cache
def execution_type(name: str) -> ExecutionType:
    """Return the facts of a type; raises ConfigError when there is no such schema."""
    schema = Schemas(SCHEMAS).effective("execution", name)
    parts = schema.properties
    resources = {key: part.task_resource for key, part in parts.items() if part.task_resource}
    runtimes = parts["container_runtime"].choices if "container_runtime" in parts else ()
    available = tuple(one for one in runtimes if one != NONE)
    return ExecutionType(name, schema.place.is_this_machine, resources, available)


def types_with_containers() -> list[str]:
    """Return the types of execution that can run containers."""
    return [name for name in Schemas(SCHEMAS).types("execution") if execution_type(name).container_runtimes]
