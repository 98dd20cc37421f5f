#!/bin/sh
# The torch engine on a GPU, in at most ten minutes: goldens in float32 on the card, the fused attention against the loop, rows
# and three steps of a random 7B (tokens a second, share of the bfloat16 peak, memory against the formula), and rows of a random
# 1B beside vLLM's where that is installed. Needs a Python with torch 2.11 or later and transformers, 32 GB of disk, no network.
#
#     bench/torch-gpu.sh [--tiny]        PYTHON=python3 by default
#
# --tiny runs every part on a processor, at a size that takes seconds. A part that fails leaves the others to be run.
cd "$(dirname "$0")/.." || exit 1
export PYTHONPATH="$PWD/python:$PWD/bench/torch" PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
python="${PYTHON:-python3}" failed=0
[ "$1" = --tiny ] || nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader
for part in goldens:90 attention:60 seven:330 vllm:100; do
  echo "== ${part%:*}"
  timeout "${part#*:}" "$python" bench/torch/card.py "${part%:*}" "$@" || { echo "${part%:*} ended with $?"; failed=1; }
done
exit $failed
