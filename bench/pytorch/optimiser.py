"""
PyTorch's side of ../optimiser.mjs: its argument is the job as JSON, {"lengths", "threads"}; every line of its input is
answered by one timed run: wall and processor time of adding and of the rest, in milliseconds.
"""

import json
import sys
import time

import torch

job = json.loads(sys.argv[1])
torch.set_num_threads(job["threads"])
weights = [(0.02 * torch.randn(length)).requires_grad_() for length in job["lengths"]]
added = [0.02 * torch.randn(length) for length in job["lengths"]]
optimiser = torch.optim.AdamW(weights, lr=1e-5, weight_decay=0.0, fused=True)

for _ in sys.stdin:
    for weight in weights:
        weight.grad = torch.full_like(weight, 0.01)
    marks = [(time.perf_counter(), time.process_time())]
    torch._foreach_add_([weight.grad for weight in weights], added)
    marks.append((time.perf_counter(), time.process_time()))
    torch.nn.utils.clip_grad_norm_(weights, 1.0)
    optimiser.step()
    marks.append((time.perf_counter(), time.process_time()))
    (add, add_processor), (rest, rest_processor) = [
        [1e3 * (after - before) for before, after in zip(*pair)] for pair in zip(marks, marks[1:])
    ]
    times = {"add": add, "addProcessor": add_processor, "rest": rest, "restProcessor": rest_processor}
    print(json.dumps(times), flush=True)
