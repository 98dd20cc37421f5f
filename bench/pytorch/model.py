"""
The peer of the embedded engine: a Llama decoder in plain PyTorch, written for speed on a processor. Weights keep their
checkpoint names and layouts; attention is PyTorch's fused kernel, the loss that of src/graph/sparse-cross-entropy.ts.

Legend: B sequences, T positions each, N = B * T rows, V vocabulary, W target width.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

Weights = dict[str, torch.Tensor]

# Rows of a teacher pass whose logits exist at a time: as fast as all at once, in four fifths of the memory.
CHUNK_ROWS = 256


@dataclass(frozen=True)
class Config:
    layers: int
    heads: int
    key_value_heads: int
    head_size: int
    epsilon: float
    base: float


def load(folder: str) -> tuple[Config, Weights]:
    """Config and weights of a checkpoint folder whose head is tied to its embedding."""
    fields = json.loads((Path(folder) / "config.json").read_text())
    heads = fields["num_attention_heads"]
    config = Config(
        layers=fields["num_hidden_layers"],
        heads=heads,
        key_value_heads=fields.get("num_key_value_heads", heads),
        head_size=fields["hidden_size"] // heads,
        epsilon=fields["rms_norm_eps"],
        base=fields.get("rope_theta", 10_000.0),
    )
    if not fields.get("tie_word_embeddings", False):
        raise SystemExit(f"{folder}: the benchmark's model in PyTorch has a tied head only")
    return config, load_file(Path(folder) / "model.safetensors")


def rotary_tables(config: Config, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosine and sine [T, head size], the second half repeating the first."""
    half = torch.arange(0, config.head_size, 2, dtype=torch.float64) / config.head_size
    angles = torch.outer(torch.arange(length, dtype=torch.float64), config.base**-half)
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos().float(), angles.sin().float()


def rotate(x: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat([-second, first], dim=-1) * sine


def hidden_states(
    config: Config, weights: Weights, ids: torch.Tensor, tables: tuple[torch.Tensor, torch.Tensor]
) -> torch.Tensor:
    """What the head reads, [N, hidden], for `ids` [B, T]."""
    batch, length = ids.shape
    x = F.embedding(ids, weights["model.embed_tokens.weight"])
    width = (x.shape[-1],)

    def heads(y: torch.Tensor, count: int) -> torch.Tensor:
        return y.view(batch, length, count, config.head_size).transpose(1, 2)

    for layer in range(config.layers):
        def weight(name: str) -> torch.Tensor:
            return weights[f"model.layers.{layer}.{name}.weight"]

        y = F.rms_norm(x, width, weight("input_layernorm"), config.epsilon)
        query = rotate(heads(F.linear(y, weight("self_attn.q_proj")), config.heads), *tables)
        key = rotate(heads(F.linear(y, weight("self_attn.k_proj")), config.key_value_heads), *tables)
        value = heads(F.linear(y, weight("self_attn.v_proj")), config.key_value_heads)
        grouped = config.heads != config.key_value_heads
        attended = F.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=grouped)
        x = x + F.linear(attended.transpose(1, 2).reshape(batch, length, -1), weight("self_attn.o_proj"))
        y = F.rms_norm(x, width, weight("post_attention_layernorm"), config.epsilon)
        gated = F.silu(F.linear(y, weight("mlp.gate_proj"))) * F.linear(y, weight("mlp.up_proj"))
        x = x + F.linear(gated, weight("mlp.down_proj"))
    return F.rms_norm(x, width, weights["model.norm.weight"], config.epsilon).flatten(0, 1)


def losses(
    hidden: torch.Tensor, head: torch.Tensor, label: torch.Tensor, target_id: torch.Tensor, target: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Means over the rows of -log p(label) and of -sum_k q_k log p(k): label [N], target_id and target [N, W]."""
    logits = F.linear(hidden, head)
    logp = logits.gather(1, torch.cat([label[:, None], target_id], dim=1)) - torch.logsumexp(logits, dim=1, keepdim=True)
    return -logp[:, 0].mean(), -(target * logp[:, 1:]).sum(dim=1).mean()


def top_rows(
    hidden: torch.Tensor, head: torch.Tensor, label: torch.Tensor, count: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Label log-probabilities [N], and ids and log-probabilities [N, count] of the most probable."""
    parts = []
    for rows, labels in zip(hidden.split(CHUNK_ROWS), label.split(CHUNK_ROWS)):
        logits = F.linear(rows, head)
        total = torch.logsumexp(logits, dim=1, keepdim=True)
        values, indices = logits.topk(count, dim=1)
        parts.append(((logits.gather(1, labels[:, None]) - total)[:, 0], indices, values - total))
    return tuple(torch.cat(part) for part in zip(*parts))
