#!/usr/bin/env bash
# Runs where the server runs, a container included: starts the first node of Ray, waits for the others, becomes the server.
set -euo pipefail
nodes=$1 patience_s=$2
shift 2
count='import ray; ray.init(address="auto", logging_level="ERROR"); print(sum(node["Alive"] for node in ray.nodes()))'
ray start --head --node-ip-address="$SNAKEVAL_HEAD" --port="$SNAKEVAL_HEAD_PORT" --disable-usage-stats
said=0
until found=$(python3 -c "$count") && ((found >= nodes)); do
  if ((SECONDS >= patience_s)); then
    echo "error: after $patience_s s Ray has ${found:-0} of $nodes nodes" >&2
    exit 1
  fi
  if ((SECONDS - said >= 30)); then
    said=$SECONDS
    echo "waiting for Ray: ${found:-0} of $nodes nodes after $SECONDS s"
  fi
  sleep 1
done
exec -- "$@"
