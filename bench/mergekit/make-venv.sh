#!/bin/sh
# A virtual environment with mergekit for ../merge.mjs, at the pinned versions: make-venv.sh DIRECTORY.
# With a package index that carries it (PIP_INDEX_URL), PyTorch's processor-only build does the same in a tenth of the
# disk space.
set -eu
[ $# -eq 1 ] || { echo "usage: $0 DIRECTORY" >&2; exit 2; }
"${PYTHON:-python3}" -m venv "$1"
"$1/bin/python" -m pip install --requirement "$(dirname "$0")/requirements.txt"
