#!/bin/bash
# Entry point of a stand-in image for a NIM of generation 1 (/opt/nim/start_server.sh): takes what NIM takes of its
# environment, says which variable is missing, and serves. Source: the configuration pages of NVIDIA NIM for LLMs.
set -eu
: "${NIM_SERVED_MODEL_NAME:?is not set}" "${NIM_SERVER_PORT:?is not set}"
if [ -z "${NGC_API_KEY:-}" ]; then
  echo "NGC_API_KEY is not set: cannot download the model" >&2
  exit 1
fi
mkdir -p /opt/nim/.cache
echo "profile ${NIM_MODEL_PROFILE:-default}" >/opt/nim/.cache/profile
exec "$STAND_IN_PYTHON" "$STAND_IN_SERVER" --port "$NIM_SERVER_PORT" --model "$NIM_SERVED_MODEL_NAME"
