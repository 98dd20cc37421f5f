"""Which rows of which tensors of a checkpoint a parameter is made of.

Parameters are named and cut as transformers' modules have them, tensors as the checkpoint's writer did: a prefix more, one
matrix for queries, keys and values, an expert a tensor. Loading, saving and low-rank adapters go by one map. It is found by
the names that are there, so that a new architecture needs none of its own where its names follow a known pattern.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import InputError
from .stored import flat_rows, head_tensor, stored_tensors
from .tensor_files import StoredTensor

#: Dtypes of weights; what is quantised is not read as if it were not.
FLOATS = ("F32", "F16", "BF16")
#: Matrices of one expert, as checkpoints name them: gate, up, down.
_EXPERT_NAMES = (
    ("gate_proj", "up_proj", "down_proj"),
    ("w1", "w3", "w2"),
    ("fc1", "fc3", "fc2"),
)
#: What a module of transformers is called there and in checkpoints; the first is for all that have one name.
_OTHER_NAMES = (
    ("", ""),
    (".router.weight", ".gate.weight"),
    (".router.weight", ".router.layer.weight"),
    (".experts.gate_up_proj", ".input_linear.weight"),
    (".experts.down_proj", ".output_linear.weight"),
)
_BLOCKS = (".mlp.", ".block_sparse_moe.", ".feed_forward.")
_EXPERTS = re.compile(r"experts\.(gate_up_proj|down_proj)$")
#: Tensors of older checkpoints that are computed from the config.
_COMPUTED = re.compile(r"(rotary_emb\.inv_freq|\.attention\.(masked_)?bias)$")
_LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")

_INTERNLM2 = (
    ("self_attn.o_proj", "attention.wo"),
    ("mlp.gate_proj", "feed_forward.w1"),
    ("mlp.up_proj", "feed_forward.w3"),
    ("mlp.down_proj", "feed_forward.w2"),
    ("input_layernorm", "attention_norm"),
    ("post_attention_layernorm", "ffn_norm"),
    ("embed_tokens", "tok_embeddings"),
)


@dataclass(frozen=True)
class Piece:
    """Rows of a parameter and where they stand. Rows are those of all dimensions but the last, flattened; a vector's
    entries are its rows."""

    #: First row in the parameter.
    first: int
    rows: int
    tensor: str
    #: First row in the tensor.
    offset: int


@dataclass(frozen=True)
class TensorMap:
    #: All tensors of the checkpoint, in the order of their files.
    stored: Mapping[str, StoredTensor]
    #: By parameter (or buffer).
    pieces: Mapping[str, tuple[Piece, ...]]
    #: Head that the checkpoint has beside the embedding it is tied to: the same values again.
    repeated_head: str | None

    def tensors_of(self, name: str) -> list[str]:
        return [piece.tensor for piece in self.pieces[name]]


def map_tensors(
    folder: Path,
    config: Any,
    model_type: str,
    parameters: Mapping[str, Sequence[int]],
    embedding: str,
    head: str | None,
    buffers: Mapping[str, Sequence[int]],
) -> TensorMap:
    """`parameters` and `buffers` are shapes by name, of the base model; `embedding` names one of them. `head` is the name
    that the checkpoint's head has here, or None where the embedding is the head."""
    stored = stored_tensors(folder)
    prefix = _prefix(stored, embedding, model_type)
    pieces: dict[str, tuple[Piece, ...]] = {}
    for name, shape in {**parameters, **buffers}.items():
        if name == head:
            stored_name = head_tensor(stored)
            found = None if stored_name is None else _whole(stored, stored_name, shape)
        else:
            found = next((p for p in _candidates(stored, prefix, name, shape, config, model_type) if p is not None), None)
        if found is None:
            raise InputError(
                f"{folder}: no tensor for {name} {list(shape)}; looked for {prefix}{name} and what architectures call it"
            )
        pieces[name] = found
    for name, own in pieces.items():
        _check(folder, stored, name, {**parameters, **buffers}[name], own)
    repeated = head_tensor(stored) if head is None else None
    _refuse_unread(folder, stored, pieces, prefix, config, repeated)
    return TensorMap(stored, pieces, repeated)


def _prefix(stored: Mapping[str, StoredTensor], embedding: str, model_type: str) -> str:
    """What stands before a base model's names: `model.`, `language_model.model.`, nothing."""
    last = _renamed(embedding, model_type)
    found = [name[: -len(last)] for name in stored if name == last or name.endswith(f".{last}")]
    if not found:
        raise InputError(f"no tensor ends with {last}; is this a language model's checkpoint?")
    return max(found, key=lambda prefix: sum(name.startswith(prefix) for name in stored))


def _renamed(name: str, model_type: str) -> str:
    if model_type == "internlm2":
        for own, theirs in _INTERNLM2:
            name = name.replace(own, theirs)
    return name


def _candidates(
    stored: Mapping[str, StoredTensor],
    prefix: str,
    name: str,
    shape: Sequence[int],
    config: Any,
    model_type: str,
) -> Iterator[tuple[Piece, ...] | None]:
    if model_type == "internlm2":
        yield _grouped(prefix + name, config)
    plain = prefix + _renamed(name, model_type)
    for block in _BLOCKS:
        spelled = plain.replace(".mlp.", block, 1)
        for own, theirs in _OTHER_NAMES:
            yield _whole(stored, spelled.replace(own, theirs), shape)
        if _EXPERTS.search(spelled) and len(shape) == 3:
            for names in _EXPERT_NAMES:
                yield _experts(stored, spelled, shape, names)


def _whole(stored: Mapping[str, StoredTensor], tensor: str, shape: Sequence[int]) -> tuple[Piece, ...] | None:
    return (Piece(0, flat_rows(shape), tensor, 0),) if tensor in stored else None


def _experts(
    stored: Mapping[str, StoredTensor], name: str, shape: Sequence[int], names: tuple[str, str, str]
) -> tuple[Piece, ...] | None:
    """Stacked experts, of the gate and up matrices one over the other, from a tensor a matrix."""
    gate, up, down = names
    parts = (gate, up) if name.endswith("gate_up_proj") else (down,)
    rows = shape[1] // len(parts)
    stem = name[: name.rindex(".")]
    pieces = tuple(
        Piece((e * len(parts) + i) * rows, rows, f"{stem}.{e}.{part}.weight", 0)
        for e in range(shape[0])
        for i, part in enumerate(parts)
    )
    return pieces if all(piece.tensor in stored for piece in pieces) else None


def _grouped(name: str, config: Any) -> tuple[Piece, ...] | None:
    """InternLM2's one matrix, group by group: the queries of a key head, that key head, its value head."""
    heads, key_heads = config.num_attention_heads, config.num_key_value_heads
    group, size = heads // key_heads, config.hidden_size // heads
    for part, first, count in (("q", 0, group), ("k", group, 1), ("v", group + 1, 1)):
        if name.endswith(f"self_attn.{part}_proj.weight"):
            tensor = name.replace(f"self_attn.{part}_proj", "attention.wqkv")
            return tuple(
                Piece(g * count * size, count * size, tensor, (g * (group + 2) + first) * size) for g in range(key_heads)
            )
    return None


def _check(
    folder: Path, stored: Mapping[str, StoredTensor], name: str, shape: Sequence[int], pieces: tuple[Piece, ...]
) -> None:
    covered = 0
    for piece in pieces:
        if piece.tensor not in stored:
            raise InputError(f"{folder}: the tensor {piece.tensor} is missing")
        tensor = stored[piece.tensor]
        if tensor.dtype not in FLOATS:
            raise InputError(
                f"{tensor.file}: {piece.tensor} is {tensor.dtype}; quantised weights are not read, take the original ones"
            )
        # A whole tensor has the parameter's shape; parts of one share its columns at least.
        alone = len(pieces) == 1 and tuple(tensor.shape) != tuple(shape)
        narrow = len(shape) > 1 and (not tensor.shape or tensor.shape[-1] != shape[-1])
        if alone or narrow or piece.offset + piece.rows > flat_rows(tensor.shape):
            raise InputError(f"{tensor.file}: {piece.tensor} is {list(tensor.shape)}, which does not fit {name} {list(shape)}")
        covered += piece.rows
    if covered != flat_rows(shape):
        raise InputError(f"{folder}: {name} has {flat_rows(shape)} rows, and the checkpoint {covered} of them")


def _refuse_unread(
    folder: Path,
    stored: Mapping[str, StoredTensor],
    pieces: Mapping[str, tuple[Piece, ...]],
    prefix: str,
    config: Any,
    repeated: str | None,
) -> None:
    """A tensor of the text model that no parameter reads would be left out without a word: a bias, a norm. Layers past
    the last (what predicts several tokens at once), and what stands outside the text model, play no part."""
    read = {piece.tensor for own in pieces.values() for piece in own} | {repeated}
    others = _other_parts(prefix)
    for name in stored:
        if name in read or _COMPUTED.search(name) or others(name):
            continue
        layer = _LAYER.search(name)
        if layer and int(layer[1]) >= config.num_hidden_layers:
            continue
        raise InputError(f"{stored[name].file}: the model's class in transformers does not read {name}; it would be left out")


def _other_parts(prefix: str) -> Callable[[str], bool]:
    """Whether a tensor belongs to something beside the text model: `vision_tower.`, `model.multi_modal_projector.`. A
    model that is text alone (`model.` or no prefix) has no such parts."""
    if "language_model" not in prefix and "text_model" not in prefix:
        return lambda name: name.startswith("mtp.")
    return lambda name: not name.startswith(prefix) and not name.endswith("lm_head.weight")
