"""What a gateway is told when it is started: a file with everything but the secrets, which come by environment."""

from pathlib import Path

import msgspec
from msgspec import Struct

from snakeval.gateway.adapters import Adapters
from snakeval.gateway.kinds import Kind, Treatment
from snakeval.system.files import write_text

ENDPOINT_KEY_VARIABLE = "SNAKEVAL_ENDPOINT_KEY"
TOKEN_VARIABLE = "SNAKEVAL_GATEWAY_TOKEN"
REQUEST_TIMEOUT_S = 300.0
RETRIES = 5
PATIENCE_S = 3600.0


class Settings(Struct, frozen=True, kw_only=True):
    """One gateway, for one attempt of one task.

    Attributes:
        base_url: Of the endpoint, up to and with /v1.
        own_server: Whether we started the server: no proxy leads there.
        deployment: Fingerprint of the deployment; the journal is good for it alone.
        server: Folder of the server's files, by which it is known who answers; None where the server is not ours.
        target: File that says where a server of ours answers, with its key; None for an endpoint that was there before.
        journal: `journal.jsonl` of the task.
        state: File in which the gateway tells where it listens and what it has counted.
        port: Where it listens on the loopback; 0 for one that is free.
        limit: File that holds how many requests may be under way at a time; read again while the task runs.
        life: Which life of the harness this is: one that goes on when the gateway is started again.
        earlier: Lives of the same evaluation that were interrupted: what they were given counts too.
        attempt: Of the rule, from 1.
        adapters: What is done to requests and answers.
        rules: Kinds whose treatment is not the default one.
        vary_seed: Whether equal requests get different seeds; for harnesses that repeat a request with one seed.
        request_timeout_s: How long an answer may take.
        tries: How often a request is sent that fails in a way that may pass.
        patience_s: How long an endpoint that says that it is busy is waited for, all pauses of a request together.
        disk_patience_s: How long a full disk is waited for.
        give_up_after: Requests that fail for good, one after another, before no more are sent.
        replay: Answer from the journal alone.
        lifeline: Whether the end of its standard input ends it.
    """

    base_url: str
    own_server: bool
    deployment: str
    target: Path | None
    journal: Path
    state: Path
    limit: Path
    life: str
    attempt: int
    earlier: tuple[str, ...] = ()
    port: int = 0
    adapters: Adapters = Adapters()
    rules: dict[Kind, Treatment] = {}
    vary_seed: bool = False
    request_timeout_s: float = REQUEST_TIMEOUT_S
    tries: int = RETRIES + 1
    patience_s: float = PATIENCE_S
    disk_patience_s: float = 600.0
    give_up_after: int = 10
    replay: bool = False
    server: Path | None = None
    lifeline: bool = False


def read_settings(path: Path) -> Settings:
    """Read the file; raises msgspec.ValidationError with the place of what is wrong."""
    return msgspec.json.decode(path.read_bytes(), type=Settings, dec_hook=lambda kind, value: kind(value))


def write_settings(path: Path, settings: Settings) -> None:
    """Write the file, atomically."""
    write_text(path, msgspec.json.encode(settings, enc_hook=str).decode())
