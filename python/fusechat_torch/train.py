"""Kind `train`: the steps of a job, one after another, a line of the log each (docs/formats.md, "What training computes")."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from .arrays import Arrays, Steps, Targets
from .attention import Context
from .decoder import Decoder
from .errors import Failure, Stopped
from .files import write_atomic
from .group import Group
from .head import SparseCrossEntropy
from .job import Job, TrainSettings
from .journal import append_line, asked_to_stop, tell
from .model import Model
from .optimiser import Optimiser
from .packs import MicroBatch, micro_batch, rounds
from .resume import load_checkpoint, save_checkpoint
from .save import save


@dataclass(frozen=True)
class _Means:
    """Over the rows of a whole step, before the update."""

    label_loss: float
    fusion_loss: float
    gradient_norm: float


def run_train(job: Job, arrays: Arrays, model: Model, group: Group) -> None:
    settings, steps = job.settings, arrays.steps
    assert isinstance(settings, TrainSettings) and steps is not None
    optimiser = Optimiser(model.decoder.weights(), settings)
    total = len(steps.batches)
    done, kept = load_checkpoint(job, optimiser, group)
    log = job.out / "log.jsonl"
    if group.first:
        write_atomic(log, "".join(kept))
    tell(job.folder, "resumed", done=done, total=total)
    for step in range(done, total):
        began = time.monotonic()
        line = _line(step, settings, steps, arrays, _step(job, step, steps, arrays, model, optimiser, group))
        if not (math.isfinite(line["loss"]) and math.isfinite(line["grad_norm"])):
            raise Failure(
                f"training diverged at step {step} of {total}: loss {line['loss']}, gradient norm {line['grad_norm']}; "
                f"lower the learning rate ({line['lr']:g}) or look for broken weights"
            )
        if group.first:
            append_line(log, line)
        tokens = sum(arrays.sequences.length(n) for n in steps.batches[step])
        tell(job.folder, "step", **line, seconds=round(time.monotonic() - began, 4), tokens=tokens)
        stop = group.any(asked_to_stop(job.folder))
        due = settings.checkpoint_steps > 0 and (step + 1) % settings.checkpoint_steps == 0
        if step + 1 < total and (stop or due):
            save_checkpoint(job, optimiser, step + 1, group)
            if stop:
                raise Stopped
    save(model, job, group)


def _line(step: int, settings: TrainSettings, steps: Steps, arrays: Arrays, means: _Means) -> dict[str, float]:
    weight = settings.label_weight
    return {
        "step": step,
        "loss": weight * means.label_loss + (1 - weight) * means.fusion_loss,
        "label_loss": means.label_loss,
        "fusion_loss": means.fusion_loss,
        "lr": steps.learning_rates[step],
        "grad_norm": means.gradient_norm,
        "rows": _rows(arrays, steps.batches[step]),
    }


def _rows(arrays: Arrays, members: list[int]) -> int:
    start = arrays.sequences.row_start
    return sum(start[n + 1] - start[n] for n in members)


def _step(job: Job, step: int, steps: Steps, arrays: Arrays, model: Model, optimiser: Optimiser, group: Group) -> _Means:
    settings, sequences = job.settings, arrays.sequences
    assert isinstance(settings, TrainSettings)
    members = [n for n in steps.batches[step] if _rows(arrays, [n]) > 0]
    rows = _rows(arrays, members)
    if rows == 0:  # moves nothing, and is no step of the optimiser either
        return _Means(0.0, 0.0, 0.0)
    sums = torch.zeros(2, dtype=torch.float64)
    lengths = [sequences.length(n) for n in members]
    micro_tokens = min(job.micro_tokens, model.decoder.kept_tokens or job.micro_tokens)
    for one in rounds(lengths, group.world, micro_tokens, single=not model.decoder.packs):
        batch = micro_batch(sequences, [members[i] for i in one[group.rank]], group.device)
        read = _loss(batch, arrays.targets, settings.label_weight, 1 / rows, group.device)
        loss, terms = model(batch.ids, Context(batch.pack), batch.at, read)
        loss.backward()
        sums += terms.detach().cpu()
    label_sum, fusion_sum = group.total(sums).tolist()
    norm = optimiser.step(steps.learning_rates[step], group)
    return _Means(label_sum / rows, fusion_sum / rows, norm)


def _loss(
    batch: MicroBatch, targets: Targets | None, label_weight: float, scale: float, device: torch.device
) -> Callable[[torch.Tensor, Decoder], tuple[torch.Tensor, torch.Tensor]]:
    """Given as a function, as FSDP2 would cast what it sees among a module's arguments."""
    if targets is None:
        rows = len(batch.row)
        ids, q = torch.zeros(rows, 1, dtype=torch.int64, device=device), torch.zeros(rows, 1, device=device)
        tail = None
    else:
        ids = targets.target_id.pick(batch.row).to(device, torch.int64)
        q = targets.target_probability.pick(batch.row).to(device)
        tail = None if targets.tail_probability is None else targets.tail_probability.pick(batch.row).to(device)

    def read(hidden: torch.Tensor, decoder: Decoder) -> tuple[torch.Tensor, torch.Tensor]:
        found: tuple[torch.Tensor, torch.Tensor] = SparseCrossEntropy.apply(
            hidden, decoder.head_weight, batch.label, ids, q, tail, label_weight, scale, decoder.cap
        )
        return found

    return read
