"""A plain loop over a model of transformers, as tutorials have it: padded, all logits, AdamW; `--compile` compiles."""

import sys

import torch
import torch.nn.functional as F
from measure import DEVICE, DTYPE, JOB, Clock, padded_batches
from transformers import AutoModelForCausalLM

TRAINS = JOB["pass"] == "training"
model = AutoModelForCausalLM.from_pretrained(
    JOB["model"], dtype=torch.float32 if TRAINS else DTYPE, attn_implementation="sdpa"
).to(DEVICE)
run = torch.compile(model, dynamic=True) if "--compile" in sys.argv else model
if "--recompute" in sys.argv:
    model.gradient_checkpointing_enable()
optimiser = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.0) if TRAINS else None
clock, losses = Clock(), []
model.train(TRAINS)


def logits_of(ids, mask):
    with torch.autocast(DEVICE.type, torch.bfloat16, enabled=TRAINS and torch.bfloat16 == DTYPE):
        return run(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1].float()


clock()
for ids, mask, labels in padded_batches():
    if TRAINS:
        loss = F.cross_entropy(logits_of(ids, mask).flatten(0, 1), labels[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        losses.append(loss.item())
    else:
        with torch.no_grad():
            logp = logits_of(ids, mask).log_softmax(-1)
            wanted = labels[:, 1:]
            label = logp.gather(-1, wanted.clamp(min=0)[..., None])[wanted >= 0]
            top = logp[wanted >= 0].topk(10)
            losses.append(-label.mean().item() + 0 * top.values[0, 0].item())
    clock()
clock.report(losses=losses)
