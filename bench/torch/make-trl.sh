#!/bin/sh
# TRL for ../torch.mjs, at pinned versions, in a virtual environment of its own that takes PyTorch and transformers from the one
# of `npm run test:torch`: make-trl.sh [DIRECTORY [PYTHON]]
set -eu
cache="${XDG_CACHE_HOME:-$HOME/.cache}/fusechat"
folder="${1:-$cache/trl}" python="${2:-$cache/torch/bin/python}"
"$python" -m venv "$folder"
"$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
  > "$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/torch-engine.pth"
"$folder/bin/python" -m pip install --quiet --only-binary :all: --no-deps --requirement "$(dirname "$0")/requirements-trl.txt"
