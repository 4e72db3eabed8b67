#!/usr/bin/env bash
# Runs on every other node: waits for the first node of Ray, joins it, and ends with it.
set -euo pipefail
patience_s=$1
# shellcheck disable=SC2016
until timeout 5 bash -c ': >"/dev/tcp/$0/$1"' "$SNAKEVAL_HEAD" "$SNAKEVAL_HEAD_PORT" 2>/dev/null; do
  if ((SECONDS >= patience_s)); then
    echo "error: after $patience_s s no Ray answers at $SNAKEVAL_HEAD:$SNAKEVAL_HEAD_PORT" >&2
    exit 1
  fi
  sleep 1
done
exec ray start --address="$SNAKEVAL_HEAD:$SNAKEVAL_HEAD_PORT" --node-ip-address="$VLLM_HOST_IP" --block
