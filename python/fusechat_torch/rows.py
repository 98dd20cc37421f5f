"""Kind `rows`: each label's log-probability and the most probable ids, or drawn ones, a file a block of sequences."""

import time

import torch

from .arrays import Arrays
from .attention import Context
from .decoder import Decoder
from .errors import InputError, Stopped
from .group import Group
from .head import top_rows
from .job import Job, RowsSettings
from .journal import asked_to_stop, tell
from .model import Model
from .packs import micro_batch, rounds
from .tensor_files import write_tensors


@torch.no_grad()
def run_rows(job: Job, arrays: Arrays, model: Model, group: Group) -> None:
    settings, sequences = job.settings, arrays.sequences
    assert isinstance(settings, RowsSettings)
    vocabulary = model.decoder.vocabulary
    if settings.top_k > vocabulary:
        raise InputError(f"{job.folder / 'job.json'}: top_k is {settings.top_k}, and the head has {vocabulary} ids")
    for index, first in enumerate(range(0, sequences.count, settings.block)):
        last = min(first + settings.block, sequences.count)
        path = job.out / f"rows-{index:05}.safetensors"
        # Rank 0 looks, for all: on a shared file system others may see it later.
        if group.any(group.first and path.exists()):
            continue
        if group.any(asked_to_stop(job.folder)):
            raise Stopped
        began = time.monotonic()
        block = _block(settings, first, last, arrays, model, group, job.micro_tokens)
        if group.first:
            write_tensors(path, block)
        tell(
            job.folder,
            "progress",
            done=last,
            total=sequences.count,
            rows=len(block["label_logp"]),
            seconds=round(time.monotonic() - began, 4),
        )


def _block(
    settings: RowsSettings, first: int, last: int, arrays: Arrays, model: Model, group: Group, micro_tokens: int
) -> dict[str, torch.Tensor]:
    sequences, k = arrays.sequences, settings.top_k
    base = sequences.row_start[first]
    rows = sequences.row_start[last] - base
    block = {
        "label_logp": torch.zeros(rows),
        "top_id": torch.zeros(rows, k, dtype=torch.int32),
        "top_logp": torch.zeros(rows, k),
    }
    if settings.logits:
        block["logits"] = torch.zeros(rows, model.decoder.vocabulary)
    with_rows = [n for n in range(first, last) if sequences.row_start[n + 1] > sequences.row_start[n]]
    lengths = [sequences.length(n) for n in with_rows]
    for one in rounds(lengths, group.world, micro_tokens, single=not model.decoder.packs):
        batch = micro_batch(sequences, [with_rows[i] for i in one[group.rank]], group.device)

        drawn = None if arrays.draws is None else arrays.draws[batch.row].to(group.device)

        def read(
            hidden: torch.Tensor,
            decoder: Decoder,
            label: torch.Tensor = batch.label,
            uniform: torch.Tensor | None = drawn,
        ) -> list[torch.Tensor]:
            head = decoder.head()
            found = [*top_rows(hidden, head, label, k, uniform)]
            return [*found, head.logits(hidden)] if settings.logits else found

        for name, part in zip(block, model(batch.ids, Context(batch.pack), batch.at, read), strict=True):
            block[name][batch.row - base] = part.to("cpu", block[name].dtype)
    # Every row has one owner, and zeros elsewhere.
    return {name: group.total(part) for name, part in block.items()}
