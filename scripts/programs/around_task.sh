#!/usr/bin/env bash
# Runs a harness between the commands of the configuration: around_task.sh FOLDER COMMAND [ARGUMENT ...]
# FOLDER/pre_cmd.sh is sourced first, so that what it exports reaches the harness; FOLDER/post_cmd.sh runs at the end,
# however the harness ended. Which of the two failed, and how, is left in FOLDER/failed_cmd.
set -uo pipefail
folder=$1
shift

complain() {
  printf '%s %s\n' "$1" "$2" >"$folder/failed_cmd"
  exit 1
}

after() {
  export SNAKEVAL_TASK_STATUS=$?
  trap - EXIT
  if [[ -e $folder/post_cmd.sh ]]; then
    bash -euo pipefail "$folder/post_cmd.sh" || complain post_cmd $?
  fi
  exit "$SNAKEVAL_TASK_STATUS"
}

if [[ -e $folder/pre_cmd.sh ]]; then
  # `exit` in it, and a command of it that fails, end this shell.
  trap 'complain pre_cmd $?' EXIT
  set -e
  # shellcheck source=/dev/null
  source "$folder/pre_cmd.sh"
  set +e
fi
trap after EXIT
"$@"
