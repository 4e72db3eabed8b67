#!/usr/bin/env bash
# Runs a command three times beside two busy loops, and ends with its first failure.
#   usage: beside_load.sh COMMAND [ARGUMENT...]
set -euo pipefail
loops=()
trap 'kill "${loops[@]}"' EXIT
for _ in 1 2; do
  # Bounded, should this script be killed.
  timeout 3h sh -c 'while :; do :; done' &
  loops+=($!)
done
for _ in 1 2 3; do "$@"; done
