"""
PyTorch's side of ../engine.mjs: its argument is the job as JSON; every line of its input is answered by one timed run:
{"milliseconds", "peak", "check"}.
"""

import json
import sys
import time

import torch
from model import hidden_states, load, losses, rotary_tables, top_rows
from safetensors.torch import load_file

job = json.loads(sys.argv[1])
torch.set_num_threads(job["threads"])
config, weights = load(job["folder"])
batch = load_file(job["batch"])
ids = batch["ids"].long()
tables = rotary_tables(config, ids.shape[1] - 1)
label = ids[:, 1:].flatten()
head = "model.embed_tokens.weight"


def teacher_pass():
    with torch.inference_mode():
        hidden = forward_part(config, weights, ids[:, :-1], tables)
        return top_part(hidden, weights[head], label, job["topK"])


def teacher_check(result):
    label_logp, top_id, top_logp = result
    return {"labelLoss": -label_logp.double().mean().item(), "topLoss": -top_logp.double().mean().item()}


def training_losses():
    hidden = hidden_states(config, weights, ids[:, :-1], tables)
    return losses(hidden, weights[head], label, batch["target_id"].long(), batch["target_probability"])


def training_step():
    optimiser.zero_grad(set_to_none=True)
    label_loss, fusion_loss = loss_part()
    (job["lambda"] * label_loss + (1 - job["lambda"]) * fusion_loss).backward()
    norm = torch.nn.utils.clip_grad_norm_(weights.values(), 1.0)
    optimiser.step()
    return label_loss, fusion_loss, norm


def training_check(result):
    """The norm is taken again in double: over 4 million elements single precision is 1e-4 to 3e-4 too small."""
    label_loss, fusion_loss, norm = result
    clipped = sum(weight.grad.double().square().sum() for weight in weights.values()).sqrt()
    scale = min(1.0, 1.0 / (norm.item() + 1e-6))
    return {"labelLoss": label_loss.item(), "fusionLoss": fusion_loss.item(), "gradientNorm": clipped.item() / scale}


compiled = torch.compile if job["variant"] == "compiled" else lambda function: function
if job["pass"] == "training":
    for weight in weights.values():
        weight.requires_grad_()
    loss_part = compiled(training_losses)
    optimiser = torch.optim.AdamW(
        weights.values(), lr=job["learningRate"], betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, fused=True
    )
    run, check = training_step, training_check
else:
    forward_part, top_part = compiled(hidden_states), compiled(top_rows)
    run, check = teacher_pass, teacher_check


def peak_megabytes() -> float:
    for line in open("/proc/self/status", encoding="utf8"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise SystemExit("no VmHWM in /proc/self/status")


for _ in sys.stdin:
    start = time.perf_counter()
    result = run()
    milliseconds = 1000 * (time.perf_counter() - start)
    print(json.dumps({"milliseconds": milliseconds, "peak": peak_megabytes(), "check": check(result)}), flush=True)
