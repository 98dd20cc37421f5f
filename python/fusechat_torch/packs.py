"""Sequences laid end to end, without padding, in micro-batches of about equal size."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .arrays import Sequences


@dataclass
class Pack:
    """T tokens of several sequences, and what attention needs to keep them apart.

    Not a pytree on purpose: FSDP2 casts tensors among a module's arguments, and positions would lose their bits.
    """

    lengths: list[int]
    #: int64 [T], from 0 in each sequence
    positions: torch.Tensor
    #: int32 [sequences + 1]
    starts: torch.Tensor

    @staticmethod
    def of(lengths: Sequence[int], device: torch.device) -> "Pack":
        starts = torch.tensor([0, *lengths]).cumsum(0)
        positions = torch.cat([torch.arange(n) for n in lengths])
        return Pack(list(lengths), positions.to(device), starts.to(device, torch.int32))


@dataclass
class MicroBatch:
    """Some sequences end to end, and of all their rows the place, the label and the index in the job."""

    #: int64 [T]
    ids: torch.Tensor
    pack: Pack
    #: int64 [r] index in `ids` of the token *before* the label
    at: torch.Tensor
    #: int64 [r]
    label: torch.Tensor
    #: int64 [r], ascending, on the processor
    row: torch.Tensor


def micro_batch(sequences: Sequences, which: Sequence[int], device: torch.device) -> MicroBatch:
    """A process without a sequence gets one token and no row: all have to make the same calls."""
    ids = [sequences.ids_of(n) for n in which] or [torch.zeros(1, dtype=torch.int64)]
    none = torch.zeros(0, dtype=torch.int64)
    at, label, row, before = [none], [none], [none], 0
    for n, own in zip(which, ids, strict=False):
        position = sequences.positions_of(n)
        at.append(position - 1 + before)
        label.append(own[position])
        row.append(torch.arange(sequences.row_start[n], sequences.row_start[n + 1]))
        before += len(own)
    pack = Pack.of([len(own) for own in ids], device)
    return MicroBatch(torch.cat(ids).to(device), pack, torch.cat(at).to(device), torch.cat(label).to(device), torch.cat(row))


def rounds(lengths: Sequence[int], world: int, budget: int, *, single: bool = False) -> list[list[list[int]]]:
    """Per round and process, indices into `lengths`: every process then waits at most for the difference within a round.

    A micro-batch has at most `budget` tokens, or one longer sequence; with `single` always one sequence. The longest go
    first, each to the emptiest micro-batch.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    # The fewest micro-batches there can be: more are tried until all fit.
    alone = len(lengths) if single else sum(n > budget for n in lengths)
    together = 0 if single else sum(n for n in lengths if n <= budget)
    count = max(1, -(-(alone + -(-together // budget)) // world)) * world
    while True:
        bins: list[list[int]] = [[] for _ in range(count)]
        heap = [(0, b) for b in range(count)]
        fits = True
        for i in order:
            load, b = heapq.heappop(heap)
            fits = fits and (not bins[b] or (not single and load + lengths[i] <= budget))
            bins[b].append(i)
            heapq.heappush(heap, (load + lengths[i], b))
        if fits:
            break
        count += world
    bins.sort(key=lambda one: (-sum(lengths[i] for i in one), one))
    return [[sorted(one) for one in bins[r : r + world]] for r in range(0, count, world)]
