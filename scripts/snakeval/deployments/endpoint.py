"""Where a deployment answers."""

import os

from snakeval.config.model import Config, Deployment
from snakeval.deployments.types import deployment_type
from snakeval.endpoint import Endpoint
from snakeval.errors import EndpointError
from snakeval.run.paths import RunPaths
from snakeval.run.server import Secrets, Server


def server_endpoint(config: Config, deployment: Deployment, server: Server) -> Endpoint:
    """Return where a server that has registered its address answers.

    Raises:
        EndpointError: Its key is of another process: it is just being started again.
    """
    files = RunPaths(config.folder).server(deployment.name)
    base_path = deployment.options.get("base_path", deployment_type(deployment.type).base_path)
    secrets = Secrets.read(files.secrets) or Secrets({}, {})
    if secrets.generation not in (None, server.generation):
        raise EndpointError(f"the server of {deployment.name} is being started again")
    address = server.url or f"http://{server.host}:{server.port}"
    base_url = f"{address.rstrip('/')}{base_path}"
    return Endpoint(base_url, deployment.served_model_name, secrets.key(os.environ))


def existing_endpoint(deployment: Deployment) -> Endpoint:
    """Return the endpoint of a deployment of type none, with the key from its environment variable."""
    name = deployment.options["api_key_name"]
    key = os.environ.get(name) if name else None
    return Endpoint(deployment.options["base_url"], deployment.served_model_name, key)
