"""Where a deployment answers."""

import os

from snakeval.config.model import Config, Deployment
from snakeval.deployments.types import deployment_type
from snakeval.endpoint import Endpoint
from snakeval.run.paths import RunPaths
from snakeval.run.server import Secrets, Server


def server_endpoint(config: Config, deployment: Deployment, server: Server) -> Endpoint:
    """Return where a server that has registered its address answers."""
    files = RunPaths(config.folder).server(deployment.name)
    base_path = deployment.options.get("base_path", deployment_type(deployment.type).base_path)
    secrets = Secrets.read(files.secrets) or Secrets({}, {})
    # A key that is the user's own is in no file: a variable of that name holds it wherever it is needed.
    own = os.environ.get(secrets.key_variable or "")
    address = server.url or f"http://{server.host}:{server.port}"
    key = secrets.environment.get("SNAKEVAL_API_KEY", own)
    return Endpoint(f"{address.rstrip('/')}{base_path}", deployment.served_model_name, key)


def existing_endpoint(deployment: Deployment) -> Endpoint:
    """Return the endpoint of a deployment of type none, with the key from its environment variable."""
    name = deployment.options["api_key_name"]
    key = os.environ.get(name) if name else None
    return Endpoint(deployment.options["base_url"], deployment.served_model_name, key)
