#!/usr/bin/env bash
# Puts a Python that needs nothing of the machine around it into a folder: for jobs in images that have none, on a volume
# that they share with the machine on which Snakemake runs.
# Usage: standalone_python.sh UV FOLDER, which makes FOLDER/bin/python3. It downloads CPython 3.11 by uv, or, where
# PYTHON_HOME is set, copies the Python that was built there (pyenv, python-build-standalone; not the system's in /usr).
set -euo pipefail
uv=$1
folder=$(realpath -m "$2")

if [[ ! -x "$folder/bin/python3" ]]; then
  mkdir -p "$folder.part"
  if [[ -n "${PYTHON_HOME:-}" ]]; then
    cp -a "$PYTHON_HOME/." "$folder.part/"
  else
    "$uv" python install --quiet --no-bin --install-dir "$folder.part" 3.11
    mv "$folder.part"/cpython-3.11.*/* "$folder.part/"
  fi
  rm -rf "$folder"
  mv "$folder.part" "$folder"
fi
# Nothing of the caller's environment, and only what lies in the folder.
home=$(env -i "$folder/bin/python3" -c 'import ssl, sqlite3, sys; print(sys.base_prefix)')
if [[ "$home" != "$folder" ]]; then
  echo "error: $folder/bin/python3 is not self-contained" >&2
  echo "  got:      it looks for its library in $home" >&2
  echo "  expected: a Python that finds its library beside itself" >&2
  echo "  hint:     leave PYTHON_HOME out, or set it to the prefix of a Python built by pyenv or uv" >&2
  exit 1
fi
