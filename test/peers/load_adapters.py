"""
LoRA adapters as peft makes and loads them. Standard input: a list of {"base", "adapter", "settings", "ids"}; with
settings (those of peft's LoraConfig) an adapter of random numbers is made and saved first. The last line of standard
output: for each the logits [len(ids)][vocabulary] of base and adapter together, in float32.
"""

import json
import sys
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, PreTrainedModel


def load(base: str) -> PreTrainedModel:
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
        base, dtype=torch.float32, attn_implementation="eager"
    )
    return model


def make(base: str, adapter: str, settings: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = get_peft_model(load(base), LoraConfig(task_type="CAUSAL_LM", **settings))
    with torch.no_grad():
        # Whatever an adapter trains, the lengths of DoRA and whole modules too, is as after training: not at its start.
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(adapter)


def logits(base: str, adapter: str, settings: dict[str, Any] | None, ids: list[int]) -> list[list[float]]:
    if settings is not None:
        make(base, adapter, settings)
    model = PeftModel.from_pretrained(load(base), adapter).eval()
    with torch.inference_mode():
        rows: list[list[float]] = model(torch.tensor([ids])).logits[0].tolist()
    return rows


if __name__ == "__main__":
    print(json.dumps([logits(**job) for job in json.load(sys.stdin)]))
