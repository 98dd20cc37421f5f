"""What every side of ../torch.mjs shares: its job, its batches, and how steps are timed.

The job is one argument, JSON: {"model", "sequences", "batches", "compute", "device", "threads", "pass", "warm"}. One line of
output, JSON: seconds and processor seconds of each step after the first `warm`, and the process's peak memory.
"""

import itertools
import json
import resource
import sys
import time

import torch
from safetensors.torch import load_file

JOB = json.loads(sys.argv[1])
DEVICE = torch.device(JOB["device"])
DTYPE = {"float32": torch.float32, "bfloat16": torch.bfloat16}[JOB["compute"]]
torch.set_num_threads(JOB["threads"])


def padded_batches():
    """Of each step, ids [B, T] padded on the right, their mask, and labels, -100 where there is no row."""
    data = load_file(JOB["sequences"])
    start, row = data["sequence_start"].tolist(), data["row_start"].tolist()
    for members in JOB["batches"]:
        length = max(start[n + 1] - start[n] for n in members)
        ids = torch.zeros(len(members), length, dtype=torch.long)
        mask = torch.zeros_like(ids)
        labels = torch.full_like(ids, -100)
        for b, n in enumerate(members):
            own = data["ids"][start[n] : start[n + 1]].long()
            at = data["position"][row[n] : row[n + 1]].long()
            ids[b, : len(own)], mask[b, : len(own)] = own, 1
            labels[b, at] = own[at]
        yield ids.to(DEVICE), mask.to(DEVICE), labels.to(DEVICE)


class Clock:
    """Call it before the first step and after every one."""

    def __init__(self):
        self.wall, self.processor = [], []

    def __call__(self):
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()
        self.wall.append(time.monotonic())
        self.processor.append(time.process_time())

    def report(self, **more):
        def steps(times):
            return [b - a for a, b in itertools.pairwise(times)][JOB["warm"] :]

        on_gpu = DEVICE.type == "cuda"
        peak = torch.cuda.max_memory_reserved() if on_gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps({"seconds": steps(self.wall), "processor": steps(self.processor), "peak": peak, **more}))
