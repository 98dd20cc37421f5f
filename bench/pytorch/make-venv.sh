#!/bin/sh
# A virtual environment for the PyTorch side of ../engine.mjs, at the pinned versions: make-venv.sh DIRECTORY.
# torch.compile also needs a C++ compiler. With a package index that carries it (PIP_INDEX_URL), PyTorch's processor-only
# build does the same in a tenth of the disk space.
set -eu
[ $# -eq 1 ] || { echo "usage: $0 DIRECTORY" >&2; exit 2; }
"${PYTHON:-python3}" -m venv "$1"
"$1/bin/python" -m pip install --requirement "$(dirname "$0")/requirements.txt"
