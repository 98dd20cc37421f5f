"""Architectures that only transformers knows: small ones with random weights, as that package saves and computes them."""

from pathlib import Path
from typing import Any

import torch

from fusechat_torch.attention import Context
from fusechat_torch.group import Group
from fusechat_torch.model import build
from fusechat_torch.packs import Pack

from .compare_golden import job_of_folder

COMMON: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "initializer_range": 0.3,
}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}

MODELS: dict[str, dict[str, Any]] = {
    # Latent attention: keys and queries of another size than values; a bias of the router that is a buffer.
    "deepseek_v3": {
        "num_key_value_heads": 4,
        "n_routed_experts": 8,
        "n_group": 2,
        "topk_group": 1,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 24,
        "first_k_dense_replace": 1,
        "kv_lora_rank": 16,
        "q_lora_rank": 16,
        "qk_rope_head_dim": 8,
        "qk_nope_head_dim": 8,
        "v_head_dim": 12,
        "head_dim": 8,
    },
    # Sinks in attention, windows in every other layer, experts with biases stored stacked.
    "gpt_oss": {"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 8, "sliding_window": 4},
    # Convolutions in place of attention in some layers: sequences end to end would see each other.
    "lfm2": {"layer_types": ["conv", "full_attention", "conv"], "conv_L_cache": 3, "block_auto_adjust_ff_dim": False},
    # An expert that all tokens share.
    "qwen2_moe": EXPERTS | {"shared_expert_intermediate_size": 40, "decoder_sparse_step": 1},
    "olmoe": {"num_experts": 4, "num_experts_per_tok": 2},
    "glm4_moe": {
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 24,
        "head_dim": 8,
        "first_k_dense_replace": 1,
        "n_group": 1,
        "topk_group": 1,
    },
    "granitemoe": {"num_local_experts": 4, "num_experts_per_tok": 2, "logits_scaling": 3.0, "embedding_multiplier": 2.0},
    "phimoe": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "llama4_text": {"num_local_experts": 4, "intermediate_size_mlp": 40, "head_dim": 8, "interleave_moe_layer_step": 2},
    # Gated linear attention; state spaces.
    "qwen3_next": EXPERTS
    | {
        "num_hidden_layers": 4,
        "shared_expert_intermediate_size": 24,
        "head_dim": 8,
        "linear_num_value_heads": 4,
        "linear_num_key_heads": 2,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
    },
    "jamba": {
        "num_hidden_layers": 4,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "num_experts": 4,
        "mamba_d_state": 8,
        "use_mamba_kernels": False,
    },
    "minimax": {},
    "starcoder2": {},
    "exaone4": {"sliding_window": 4, "sliding_window_pattern": 2, "head_dim": 8},
    "ernie4_5": {"head_dim": 8},
    "cohere": {},
    # Positions that are learned, layers under another name.
    "gpt2": {},
    "gpt_neox": {},
    "minicpm3": {"num_key_value_heads": 4},
    # Windows shorter than the texts.
    "mistral": {"sliding_window": 4},
    "qwen2": {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1},
    "gemma3_text": {"sliding_window": 4, "head_dim": 8, "num_hidden_layers": 6},
}

#: What is not taken, and a part of the sentence that says why.
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "bloom": ({}, "its class in transformers has an attention of its own"),
    "phi": ({}, "does not read lm_head.bias; it would be left out"),
    "falcon_h1": ({}, "its head could not be held against ours"),
}


#: Whose answers are compared too: with keys of another size than values, sinks, windows, and without any cache.
ANSWERING = ("deepseek_v3", "gpt_oss", "lfm2")


def make(name: str, folder: Path, **changes: int) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(11)
    config = AutoConfig.for_model(name, **(COMMON | (MODELS[name] if name in MODELS else REFUSED[name][0]) | changes))
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager").eval()
    with torch.no_grad():
        for p in [*model.parameters(), *model.buffers()]:
            # Biases and norms begin as zeros and ones, which would hide that they are left out.
            if p.is_floating_point() and p.ndim == 1 and p.numel() > 1 and "inv_freq" not in name:
                p.add_(torch.randn_like(p) * 0.1) if isinstance(p, torch.nn.Parameter) else None
        for key, buffer in model.named_buffers():
            if key.endswith("e_score_correction_bias"):
                buffer.add_(torch.rand_like(buffer))
    model.save_pretrained(folder)


TEXTS = [[5, 9, 30, 2, 77, 41, 8], [60, 3, 18], [90, 91, 5, 6, 33, 21, 9, 14, 70, 71]]


def compare_architecture(name: str, folder: Path, group: Group) -> dict[str, Any]:
    """The largest difference to transformers' own logits of each text alone, over the largest logit."""
    if group.first:
        make(name, folder)
    group.barrier()
    model = build(job_of_folder(folder, "float32", folder), group)
    packs = model.decoder.packs
    worst = 0.0
    with torch.no_grad():
        for texts in [TEXTS] if packs else [[text] for text in TEXTS]:
            ids = torch.tensor([i for text in texts for i in text])
            context = Context(Pack.of([len(text) for text in texts], group.device))
            got = model(ids, context, torch.arange(len(ids)), lambda hidden, decoder: decoder.head().logits(hidden))
            want = torch.cat([reference(folder)(input_ids=torch.tensor([text])).logits[0] for text in texts])
            worst = max(worst, ((got - want).abs().max() / want.abs().max()).item())
    return {"ended": "done", "difference": worst, "packs": packs}


def reference(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
