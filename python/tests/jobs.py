"""Job folders of the golden data: what the calling program would write."""

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from fusechat_torch import FORMAT

from .golden import GOLDEN, facts, model_folder

PIPELINE = GOLDEN / "pipeline"


def put(folder: Path, settings: dict[str, Any], **files: dict[str, torch.Tensor]) -> Path:
    folder.mkdir(parents=True)
    for file, tensors in files.items():
        save_file(tensors, folder / f"{file}.safetensors")
    (folder / "job.json").write_text(json.dumps({"format": FORMAT, "device": "cpu", **settings}), encoding="utf-8")
    return folder


def ends(lengths: list[int]) -> torch.Tensor:
    """Boundaries, int64 [n + 1]."""
    return torch.tensor([0, *lengths]).cumsum(0)


def sequences(model: str) -> dict[str, torch.Tensor]:
    """The pipeline's conversations as the model's tokenizer and template have them."""
    lines = (PIPELINE / "rows" / f"{model}.jsonl").read_text(encoding="utf-8").splitlines()
    read = [one for one in map(json.loads, lines) if "refused" not in one]
    return {
        "ids": torch.tensor([i for one in read for i in one["ids"]], dtype=torch.int32),
        "sequence_start": ends([len(one["ids"]) for one in read]),
        "position": torch.tensor([i for one in read for i in one["position"]], dtype=torch.int32),
        "row_start": ends([len(one["position"]) for one in read]),
    }


def rows_job(folder: Path, model: str, **more: Any) -> Path:
    settings = {"kind": "rows", "model": str(model_folder(model)), "top_k": 10, "compute": "float32", "micro_tokens": 512}
    return put(folder, settings | more, sequences=sequences(model))


def targets(
    source: str, level: str = "conversation", unshared: str = "label", tail: str = "renormalise"
) -> dict[str, torch.Tensor]:
    """q of every row under min-ce (docs/formats.md, "What training computes"), from the golden shards."""
    pivot = load_file(PIPELINE / "distributions/mistral/shard-00000.safetensors")
    aligned = load_file(PIPELINE / f"aligned/{source}/shard-00000.safetensors")
    choice = load_file(PIPELINE / f"aligned/{source}/reference.safetensors")["row_choice"]
    tokenizer = json.loads((GOLDEN / "models/mistral/tokenizer.json").read_text(encoding="utf-8"))
    tokens = set(tokenizer["model"]["vocab"].values()) | {token["id"] for token in tokenizer["added_tokens"]}
    rows = len(pivot["token"])
    width = max(pivot["top_id"].shape[1], aligned["top_id"].shape[1])
    ids, q, t = torch.zeros(rows, width, dtype=torch.int32), torch.zeros(rows, width), torch.zeros(rows)

    def kept(shard: dict[str, torch.Tensor], r: int) -> tuple[list[tuple[int, float]], float] | None:
        pairs = zip(shard["top_id"][r].tolist(), shard["top_logp"][r].tolist(), strict=True)
        masses = [(i, math.exp(logp)) for i, logp in pairs if math.exp(logp) > 0 and i in tokens]
        total = sum(mass for _, mass in masses)
        if total == 0:
            return None
        if tail == "renormalise":
            return [(i, mass / total) for i, mass in masses], 0.0
        return masses, max(0.0, 1 - total)

    for n in range(len(pivot["conversation"])):
        nats = [(aligned[f"{who}_nats"][n] / aligned[f"{who}_bytes"][n].clamp(min=1)).item() for who in ("source", "pivot")]
        whole = aligned["source_bytes"][n] > 0 and nats[0] < nats[1]
        for r in range(int(pivot["row_start"][n]), int(pivot["row_start"][n + 1])):
            if not (whole if level == "conversation" else bool(choice[r])):
                found = kept(pivot, r)
            else:
                found = kept(aligned, r) if aligned["source_row"][r] >= 0 else None
                if found is None:
                    label = [(int(pivot["token"][r]), 1.0)], 0.0
                    found = {"label": label, "skip": ([], 0.0), "pivot": kept(pivot, r)}[unshared]
            assert found is not None
            for k, (i, mass) in enumerate(found[0]):
                ids[r, k], q[r, k] = i, mass
            t[r] = found[1]
    made = {"target_id": ids, "target_probability": q}
    return made | {"tail_probability": t} if tail == "bucket" else made


def learning_rates(peak: float, total: int, warmup_ratio: float) -> torch.Tensor:
    warm = max(0, math.ceil(warmup_ratio * total - 1e-9))
    rising = [peak * (s + 1) / (warm + 1) for s in range(warm)]
    falling = [peak * 0.5 * (1 + math.cos(math.pi * (s - warm) / (total - warm))) for s in range(warm, total)]
    return torch.tensor(rising + falling, dtype=torch.float64)


def steps(batches: list[list[int]], peak: float = 1e-3) -> dict[str, torch.Tensor]:
    return {
        "batch": torch.tensor([i for batch in batches for i in batch], dtype=torch.int32),
        "batch_start": ends([len(batch) for batch in batches]),
        "learning_rate": learning_rates(peak, len(batches), 0.1),
    }


TRAIN: dict[str, Any] = {
    "kind": "train",
    "lambda": 0.9,
    "clip_norm": 1.0,
    "betas": [0.9, 0.999],
    "epsilon": 1e-8,
    "weight_decay": 0.0,
    "compute": "float32",
    "dtype": "float32",
    "micro_tokens": 512,
    "checkpoint_steps": 0,
}


def train_job(
    folder: Path,
    source: str,
    batches: list[list[int]] | None = None,
    rules: dict[str, str] | None = None,
    model: str = "mistral",
    peak: float = 1e-3,
    **more: Any,
) -> Path:
    """Six steps on all eight conversations, as the golden targets were trained, or other batches."""
    batches = batches or [list(range(8))] * 6
    settings = TRAIN | {"model": str(model_folder(model))} | more
    return put(
        folder,
        settings,
        sequences=sequences("mistral"),
        steps=steps(batches, peak),
        targets=targets(source, **(rules or {})),
    )


def plain_job(folder: Path, model: str, peak: float, count: int = 2, **more: Any) -> Path:
    """Plain fine-tuning of a model on the ids of its own golden file."""
    found = model_folder(model)
    assert found is not None
    golden = load_file(found / "golden.safetensors")
    lengths = facts(model)["unpadded"]
    ids = [golden["input_ids"][s, :n] for s, n in enumerate(lengths)]
    positions = [torch.arange(1, n, dtype=torch.int32) for n in lengths]
    made = {
        "ids": torch.cat(ids).to(torch.int32).contiguous(),
        "sequence_start": ends(lengths),
        "position": torch.cat(positions),
        "row_start": ends([n - 1 for n in lengths]),
    }
    settings = TRAIN | {"model": str(found), "lambda": 1} | more
    return put(folder, settings, sequences=made, steps=steps([[0, 1]] * count, peak))


GENERATE: dict[str, Any] = {
    "kind": "generate",
    "max_tokens": 24,
    "stop_ids": [],
    "temperature": 0,
    "top_k": 0,
    "top_p": 1,
    "compute": "float32",
    "micro_tokens": 512,
}


def greedy_job(folder: Path, model: str, **more: Any) -> Path:
    """The golden prompt, a beginning of it, and the prompt again."""
    prompt = facts(model)["greedy"]["prompt"]
    prompts = [prompt, prompt[:5], prompt]
    made = {
        "ids": torch.tensor([i for one in prompts for i in one], dtype=torch.int32),
        "sequence_start": ends([len(one) for one in prompts]),
    }
    return put(folder, GENERATE | {"model": str(model_folder(model))} | more, sequences=made)


def architecture_job(folder: Path, model: Path) -> Path:
    """Greedy answers to the texts of `architectures.py`, of a model that the session makes first."""
    from .architectures import TEXTS

    made = {
        "ids": torch.tensor([i for text in TEXTS for i in text], dtype=torch.int32),
        "sequence_start": ends([len(text) for text in TEXTS]),
    }
    return put(folder, GENERATE | {"model": str(model), "max_tokens": 8}, sequences=made)


SAMPLING: dict[str, Any] = {"temperature": 1.5, "top_k": 40, "top_p": 0.9, "max_tokens": 12, "vocabulary": 380}


def draws(prompts: int) -> torch.Tensor:
    return torch.rand(prompts, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(4))


def sampled_job(folder: Path) -> Path:
    """Three prompts; the ids that end an answer are frequent enough to end one."""
    greedy_job(folder, "mistral", **SAMPLING, stop_ids=list(range(40, 60)))
    save_file({"uniform": draws(3)}, folder / "draws.safetensors")
    return folder
