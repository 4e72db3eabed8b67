"""Ask an endpoint for one answer, from beside its server; the question comes as JSON by standard input."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from snakeval.endpoint import Endpoint, Protocol
from snakeval.errors import EndpointError
from snakeval.serving.probe import check_endpoint

if __name__ == "__main__":
    question = json.load(sys.stdin)
    try:
        check_endpoint(
            Endpoint(**question["endpoint"]),
            Protocol(question["protocol"]),
            question["checks_api_key"],
            question["timeout_s"],
        )
    except EndpointError as error:
        sys.exit(str(error))
