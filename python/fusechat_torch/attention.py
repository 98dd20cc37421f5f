"""Causal attention over sequences laid end to end, and over a cache of keys and values while answers are generated.

It stands in for the attention functions of transformers' modules, which would need a padded batch and its mask.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F

from .errors import InputError
from .packs import Pack

#: What modules pass besides and what has no bearing here: there is no dropout, no mask and no padding.
_WITHOUT_MEANING = frozenset(
    ("dropout", "attention_mask", "position_ids", "cache_position", "output_attentions", "use_cache", "is_causal")
)


@dataclass
class Cache:
    """Keys and values of B answers, with room for `capacity` tokens each."""

    capacity: int
    #: int64 [B] tokens there are
    filled: torch.Tensor
    keys: dict[int, torch.Tensor] = field(default_factory=dict)
    values: dict[int, torch.Tensor] = field(default_factory=dict)

    def fill(self, layer: int, k: torch.Tensor, v: torch.Tensor, lengths: Sequence[int]) -> None:
        """The prompts' keys and values, [T, heads, D] end to end."""
        for kept, new in ((self.keys, k), (self.values, v)):
            room = new.new_zeros(len(lengths), self.capacity, *new.shape[1:])
            for b, part in enumerate(torch.split(new, list(lengths))):
                room[b, : len(part)] = part
            kept[layer] = room

    def append(self, layer: int, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One more token of each answer, [B, heads, D]; all of them, [B, capacity, heads, D]."""
        rows = torch.arange(k.shape[0], device=k.device)
        self.keys[layer][rows, self.filled] = k
        self.values[layer][rows, self.filled] = v
        return self.keys[layer], self.values[layer]


@dataclass
class Context:
    """What one call of the model attends to. In `decode`, one token an answer; all before it is in the cache."""

    pack: Pack
    cache: Cache | None = None
    decode: bool = False
    #: Windows of the layers that have attended by it so far; None: no window.
    attended: dict[int, int | None] = field(default_factory=dict)

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence, a cache's room included."""
        return max(self.pack.lengths) if self.cache is None else self.cache.capacity


#: Not every class passes on to its attention what it does not know.
_current: ContextVar[Context] = ContextVar("context")


@contextmanager
def attending(context: Context) -> Iterator[None]:
    """Within it, attention goes by `context`."""
    before = _current.set(context)
    try:
        yield
    finally:
        _current.reset(before)


def current_context() -> Context:
    return _current.get()


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    _mask: torch.Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """With the signature of transformers' attention functions: [1, heads, T, D] in, [1, T, heads, D] out."""
    for name, other in others.items():
        if other is not None and name not in _WITHOUT_MEANING:
            raise InputError(f"{type(module).__name__} passes {name} to attention, which this engine does not know")
    if getattr(module, "is_causal", True) is False or others.get("is_causal") is False:
        raise InputError(f"{type(module).__name__} does not attend causally, which a model of answers has to")
    context = _current.get()
    q, k, v = (t[0].transpose(0, 1) for t in (query, key, value))
    scale = q.shape[-1] ** -0.5 if scaling is None else scaling
    layer: Any = module.layer_idx
    context.attended[layer] = sliding_window
    return attend(q, k, v, context, layer, scale, sliding_window, softcap, s_aux)[None], None


def attend(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    context: Context,
    layer: int,
    scale: float,
    window: int | None,
    cap: float | None,
    sinks: torch.Tensor | None,
) -> torch.Tensor:
    """q [T, heads, D], k [T, key heads, D], v [T, key heads, E] -> [T, heads, E]. A window counts the token itself."""
    cache, pack = context.cache, context.pack
    if context.decode:
        assert cache is not None
        k, v = cache.append(layer, k, v)
        at = torch.arange(cache.capacity, device=q.device)
        seen = at[None] <= cache.filled[:, None]
        if window is not None:
            seen &= at[None] > cache.filled[:, None] - window
        return _dense(q[:, :, None], k.transpose(1, 2), v.transpose(1, 2), scale, cap, sinks, seen[:, None, None])[:, :, 0]
    if cache is not None:
        cache.fill(layer, k, v, pack.lengths)
    longest = max(pack.lengths)
    half = q.dtype in (torch.bfloat16, torch.float16)
    if q.is_cuda and half and cap is None and sinks is None and q.shape[-1] == v.shape[-1]:
        return _fused(q, k, v, pack, longest, scale, window)
    out, first = [], 0
    for n in pack.lengths:
        own = [t[first : first + n].transpose(0, 1)[None] for t in (q, k, v)]
        mask = None
        if cap is not None or sinks is not None or (window is not None and window < n):
            i = torch.arange(n, device=q.device)
            mask = (i[None] <= i[:, None]) & (i[None] > i[:, None] - (window or n))
        out.append(_dense(own[0], own[1], own[2], scale, cap, sinks, mask)[0].transpose(0, 1))
        first += n
    return torch.cat(out)


def _fused(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, pack: Pack, longest: int, scale: float, window: int | None
) -> torch.Tensor:
    from torch.nn.attention.varlen import varlen_attn

    groups = q.shape[1] // k.shape[1]
    if groups > 1:  # PyTorch 2.11 has no flag for grouped heads
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    left = -1 if window is None or window >= longest else window - 1
    out = varlen_attn(q, k, v, pack.starts, pack.starts, longest, longest, window_size=(left, 0), scale=scale)
    assert isinstance(out, torch.Tensor)
    return out


def _dense(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    scale: float,
    cap: float | None,
    sinks: torch.Tensor | None,
    mask: torch.Tensor | None,
) -> torch.Tensor:
    """[B, heads, T, D] of one length; without a mask causal. Caps and sinks (a logit a head that takes mass and gives no
    value) have no fused kernel: [heads, T, T] in float32."""
    groups = q.shape[1] // k.shape[1]
    if groups > 1:
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    if cap is None and sinks is None:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None, scale=scale)
    scores = (q @ k.transpose(-1, -2)).float() * scale
    if cap is not None:
        scores = torch.tanh(scores / cap) * cap
    assert mask is not None
    scores = scores.masked_fill(~mask, float("-inf"))
    if sinks is not None:
        sink = sinks.float().reshape(1, -1, 1, 1).expand(*scores.shape[:-1], 1)
        return torch.cat([scores, sink], -1).softmax(-1)[..., :-1].to(v.dtype) @ v
    return scores.softmax(-1).to(v.dtype) @ v
