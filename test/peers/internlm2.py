"""
InternLM2 as a Llama. transformers has no class of its own for it; the model is Llama's but for names, and for queries,
keys and values in one matrix, group by group: the queries that share a key, the key, the value.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

NAMES = {
    "model.tok_embeddings.": "model.embed_tokens.",
    "output.": "lm_head.",
    ".attention.wo.": ".self_attn.o_proj.",
    ".attention_norm.": ".input_layernorm.",
    ".ffn_norm.": ".post_attention_layernorm.",
    ".feed_forward.w1.": ".mlp.gate_proj.",
    ".feed_forward.w2.": ".mlp.down_proj.",
    ".feed_forward.w3.": ".mlp.up_proj.",
}


def load_as_llama(folder: Path, config: dict[str, Any]) -> tuple[LlamaForCausalLM, dict[str, list[str]]]:
    # `dynamic` scaling changes nothing within max_position_embeddings.
    llama = LlamaConfig.from_dict(
        {**config, "model_type": "llama", "rope_scaling": None, "attention_bias": config["bias"]}
    )
    weights: dict[str, torch.Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        for name, tensor in load_file(path).items():
            weights.update(renamed(name, tensor.float(), llama))
    model = LlamaForCausalLM(llama).eval()
    missing, unexpected = model.load_state_dict(weights, strict=False)
    return model, {"missing": list(missing), "unexpected": list(unexpected)}


def renamed(name: str, tensor: torch.Tensor, config: LlamaConfig) -> dict[str, torch.Tensor]:
    if ".attention.wqkv." in name:
        heads, groups = config.num_attention_heads, config.num_key_value_heads
        size = config.hidden_size // heads
        parts = tensor.unflatten(0, (groups, heads // groups + 2, size))
        split = {"q": parts[:, :-2], "k": parts[:, -2:-1], "v": parts[:, -1:]}
        return {name.replace("attention.wqkv", f"self_attn.{p}_proj"): part.flatten(0, 2) for p, part in split.items()}
    for theirs, llamas in NAMES.items():
        name = name.replace(theirs, llamas)
    return {name: tensor}
