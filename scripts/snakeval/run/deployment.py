"""What rules deploy and teardown write of a deployment: what is served, and how its server lived."""

from collections.abc import Mapping
from dataclasses import dataclass

from snakeval.run.record import Record, ServerId


@dataclass(frozen=True)
class ServedDeployment(Record):
    """`deployment.json`: what changes a score, so that the file speaks for the results.

    Attributes:
        name, type, served_model_name, options, fingerprint: Of the deployment, as in the configuration.
    """

    name: str
    type: str
    served_model_name: str
    options: Mapping[str, object]
    fingerprint: str


@dataclass(frozen=True)
class Teardown(Record):
    """`teardown.json` of an endpoint that was there before.

    Attributes:
        deployment, type: Its name and type.
        torn_down_at: ISO 8601, UTC.
    """

    deployment: str
    type: str
    torn_down_at: str


@dataclass(frozen=True)
class ServerTeardown(Teardown):
    """`teardown.json` of a deployment with a server: how that lived.

    Attributes:
        server_id, restarts, host, port, state, reason, image: As in `ServerRecord`; None when it never was.
        started_at, ready_at, updated_at: ISO 8601, UTC.
    """

    server_id: ServerId | None = None
    restarts: int | None = None
    host: str | None = None
    port: int | None = None
    state: str | None = None
    reason: str | None = None
    image: str | None = None
    started_at: str | None = None
    ready_at: str | None = None
    updated_at: str | None = None
