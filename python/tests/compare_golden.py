"""Logits, loss and every gradient of a golden model, on however many processes, as figures."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from fusechat_torch.attention import Context
from fusechat_torch.group import Group
from fusechat_torch.head import SparseCrossEntropy
from fusechat_torch.job import Job, TrainSettings
from fusechat_torch.model import Model, build
from fusechat_torch.packs import Pack
from fusechat_torch.weights import whole_tensor

from .golden import facts, model_folder


def job_of(name: str, compute: Any, scratch: Path) -> Job:
    folder = model_folder(name)
    assert folder is not None
    return job_of_folder(folder, compute, scratch)


def job_of_folder(folder: Path, compute: Any, scratch: Path) -> Job:
    """A training, which a session builds the model of and goes no further."""
    settings = TrainSettings(0.9, 1.0, (0.9, 0.999), 1e-8, 0.0, 0, "float32", 1 << 40, None)
    return Job(scratch, "train", folder, "cpu", compute, 512, settings, "")


def compare_golden(name: str, compute: str, scratch: Path, group: Group) -> dict[str, Any]:
    """`logits`: the largest difference; `logits_mean`: the mean one over the mean logit; `loss`;
     `gradient`: the largest difference of a tensor over its
    largest entry, and which tensor's; `missing`: gradients that the reference has and the model has not, or the reverse."""
    job = job_of(name, compute, scratch)
    model = build(job, group)
    model.decoder.kept_tokens = 0  # as on a GPU, where all is computed again
    want, known = load_file(job.model / "golden.safetensors"), facts(name)
    lengths, mask = known["unpadded"], want["loss_mask"].bool()
    # One process has both sequences, end to end; of more the first two have one each, and the others none.
    mine = [0, 1] if group.world == 1 else [group.rank] if group.rank < 2 else []

    def own(key: str) -> torch.Tensor:
        parts = [want[key][s, : lengths[s]][mask[s, : lengths[s]]] for s in mine]
        return torch.cat(parts) if parts else want[key][0, :0]

    ids = torch.cat([want["input_ids"][s, : lengths[s]] for s in mine] or [torch.zeros(1)]).long()
    context = Context(Pack.of([lengths[s] for s in mine] or [1], group.device))
    before = [0, lengths[0]]
    places = [torch.nonzero(mask[s, : lengths[s]])[:, 0] + before[i] for i, s in enumerate(mine)]
    at = torch.cat(places) if places else torch.zeros(0, dtype=torch.int64)
    arguments = own("labels").long(), own("target_id").long(), own("target_prob"), None, 0.9, 1 / int(mask.sum())

    def loss_of(hidden: torch.Tensor, decoder: Any) -> Any:
        return SparseCrossEntropy.apply(hidden, decoder.head_weight, *arguments, decoder.cap)

    loss, _ = model(ids, context, at, loss_of)
    loss.backward()
    worst, mean, where, missing = _gradients(model, want)
    with torch.no_grad():
        got = model(ids, context, torch.arange(len(ids)), lambda hidden, decoder: decoder.head().logits(hidden))
    # Processes without a sequence have nothing to compare.
    difference = (got - torch.cat([want["logits"][s, : lengths[s]] for s in mine])).abs() if mine else torch.zeros(1)
    return {
        "logits": group.largest(difference.max().item()),
        "logits_mean": group.largest((difference.mean() / got.abs().mean()).item()),
        "loss": abs(group.total(loss.double()).item() - known["loss"]),
        "gradient": worst,
        "gradient_mean": mean,
        "where": where,
        "missing": missing,
    }


def _gradients(model: Model, want: dict[str, torch.Tensor]) -> tuple[float, float, str, list[str]]:
    """The reference's gradients are the checkpoint's tensors, ours parameters: compared piece by piece."""
    seen, worst, where, differences = set(), 0.0, "", []
    for name, p in model.decoder.weights().items():
        assert p.grad is not None
        gradient = whole_tensor(p.grad, torch.float64)
        flat = gradient.reshape(-1, gradient.shape[-1]) if gradient.ndim > 1 else gradient
        for piece in model.tensor_map.pieces[name]:
            key = f"grad.{piece.tensor}"
            seen.add(key)
            if key not in want:
                continue
            full = want[key].double()
            part = full[piece.offset : piece.offset + piece.rows]
            difference = (flat[piece.first : piece.first + piece.rows] - part).abs() / full.abs().max().clamp(min=1e-30)
            differences.append(difference.mean().item())
            if difference.max().item() > worst:
                worst, where = difference.max().item(), piece.tensor
    expected = {key for key in want if key.startswith("grad.")}
    return worst, sum(differences) / max(1, len(differences)), where, sorted(seen ^ expected)
