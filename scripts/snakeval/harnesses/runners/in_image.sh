#!/bin/sh
# Runs snakeval_runners.nemo in an image of a harness, on the Python that the image's nemo-evaluator belongs to: in_image.sh REQUEST
# The first thing that a task in a container does: what failed before this left no file `began`.
here=${0%/*}
: >"$SNAKEVAL_HARNESS_FOLDER/began"

fail() {
  printf '{"kind": "harness", "message": "%s"}\n' "$1" >"$SNAKEVAL_HARNESS_FOLDER/error.json"
  echo "error: $1" >&2
  exit 1
}

evaluator=$(command -v nemo-evaluator) ||
  fail "the image has no nemo-evaluator on its PATH; it has to be one of NVIDIA's evaluation images, or made like one"
evaluator=$(readlink -f "$evaluator")
IFS= read -r first <"$evaluator" || first=
first=${first#\#!}
for python in "${evaluator%/*}/python" "${evaluator%/*}/python3" "${first%% *}" python3 python; do
  # -P, where there is one: the folder of the data, in which this runs, is nowhere to import from.
  for safe in -P ""; do
    # shellcheck disable=SC2086
    if "$python" $safe -c 'import sys; from importlib.util import find_spec; sys.exit(not find_spec("nemo_evaluator"))' 2>/dev/null
    then
      PYTHONPATH=$here${PYTHONPATH:+:$PYTHONPATH}
      export PYTHONPATH
      exec "$python" $safe -m snakeval_runners.nemo "$1"
    fi
  done
done
fail "no Python of the image has the package nemo_evaluator, although $evaluator is there"
