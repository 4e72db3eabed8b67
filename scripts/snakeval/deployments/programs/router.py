"""vLLM's router in front of several instances of one server, in this process.

Runs in the router environment; needs nothing but vllm-router. No key comes here: whoever calls has to bring one, which
the router shows to `--key-check-url` once and then hands on to the instances. Ends by itself on SIGTERM.
"""

import argparse

# Longer than any harness waits: how long a request may take is for its sender to say.
REQUEST_TIMEOUT_S = 24 * 3600
# An instance is taken away within about two seconds of its death; a request outlasts that by its retries (9 s).
RETRIES = 8
FIRST_RETRY_MS = 100
RETRY_FACTOR = 2.0
LONGEST_RETRY_MS = 3000
HEALTH_INTERVAL_S = 10
HEALTH_TIMEOUT_S = 10


def main() -> None:
    """Route until a signal asks to end."""
    parser = argparse.ArgumentParser(description="Route requests to several instances of one server.")
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--metrics-port", type=int, required=True, help="Prometheus metrics, on the loopback")
    parser.add_argument("--health-path", required=True, help="path of the instances that answers 200")
    parser.add_argument("--instance-url", action="append", default=[], help="an instance to begin with")
    parser.add_argument("--key-check-url", required=True, help="answers 200 to a request with the right key")
    given = parser.parse_args()

    from vllm_router_rs import PolicyType, Router

    Router(
        worker_urls=given.instance_url,
        # The less busy one of two shares requests of very different length evenly; it refuses to begin with fewer.
        policy=PolicyType.PowerOfTwo if len(given.instance_url) > 1 else PolicyType.RoundRobin,
        host=given.host,
        port=given.port,
        prometheus_host="127.0.0.1",
        prometheus_port=given.metrics_port,
        api_key_validation_urls=[given.key_check_url],
        worker_startup_timeout_secs=HEALTH_TIMEOUT_S,
        worker_startup_check_interval=1,
        health_check_endpoint=given.health_path,
        health_check_interval_secs=HEALTH_INTERVAL_S,
        health_check_timeout_secs=HEALTH_TIMEOUT_S,
        request_timeout_secs=REQUEST_TIMEOUT_S,
        retry_max_retries=RETRIES,
        retry_initial_backoff_ms=FIRST_RETRY_MS,
        retry_backoff_multiplier=RETRY_FACTOR,
        retry_max_backoff_ms=LONGEST_RETRY_MS,
        # An engine that answers bad requests with status 500 would be left out for a minute, the healthy one.
        disable_circuit_breaker=True,
        log_level="error",
    ).start()


if __name__ == "__main__":
    main()
