"""Checkpoint files to the shards of a model, and back. No process ever holds more than its shards and one tensor."""

from collections.abc import Iterable

import torch
from torch import nn
from torch.distributed.tensor import DTensor, Shard

from .decoder import Decoder
from .stored import OpenFiles, flat_rows
from .tensor_map import TensorMap


def load(decoder: Decoder, tensor_map: TensorMap) -> None:
    """Each process reads its own rows straight from the mapped files."""
    files = OpenFiles(tensor_map.stored)
    with torch.no_grad():
        for name, p in decoder.weights().items():
            if name in tensor_map.pieces:
                _fill(files, tensor_map, name, p)
        for name, buffer in decoder.kept_buffers().items():
            _fill(files, tensor_map, name, buffer)


def _fill(files: OpenFiles, tensor_map: TensorMap, name: str, p: torch.Tensor) -> None:
    local = local_part(p)
    flat = local.detach().reshape(-1, p.shape[-1]) if p.ndim > 1 else local.detach().reshape(-1)
    for first, last, at in local_rows(p):
        for piece in tensor_map.pieces[name]:
            a, b = max(piece.first, first), min(piece.first + piece.rows, last)
            if a < b:
                start = piece.offset + a - piece.first
                flat[at + a - first : at + b - first].copy_(files.rows(piece.tensor, start, start + b - a))


def local_part(p: torch.Tensor) -> torch.Tensor:
    """What this process has of it, by reference."""
    return p.to_local() if isinstance(p, DTensor) else p


def local_rows(p: torch.Tensor) -> list[tuple[int, int, int]]:
    """What this process has of a parameter: first and last flattened row, and where they stand in its own part."""
    rows = flat_rows(p.shape)
    if not isinstance(p, DTensor):
        return [(0, rows, 0)]
    (placement,) = p.placements
    assert isinstance(placement, Shard)
    rank, world = p.device_mesh.get_local_rank(), p.device_mesh.size()
    # As torch.chunk cuts: the last processes can have fewer, or none.
    size = p.shape[placement.dim]
    each = -(-size // world)
    low, high = min(rank * each, size), min((rank + 1) * each, size)
    if placement.dim == 0:
        inner = rows // p.shape[0]
        return [(low * inner, high * inner, 0)]
    assert placement.dim == 1 and p.ndim == 3
    width = high - low
    return [(e * size + low, e * size + high, e * width) for e in range(p.shape[0])]


def whole_tensor(p: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Gathered from all processes in the dtype asked for; all have to call."""
    cast = p.detach().to(dtype)
    return cast.full_tensor() if isinstance(cast, DTensor) else cast


def count(parameters: Iterable[nn.Parameter]) -> int:
    return sum(p.numel() for p in parameters)
