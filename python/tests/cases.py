"""What each number of processes works through in one session: see `session.py`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from . import jobs
from .architectures import ANSWERING, MODELS, REFUSED
from .golden import NINE, THIRTEEN, model_folder

#: Cases that do not depend on how sequences are divided are run on one number of processes.
WORLDS = (1, 2, 3)
PIPELINE_MODELS = ("mistral", "qwen2", "gemma2")
SOURCES = ("qwen2", "gemma2")
BOTH = NINE + THIRTEEN

LORA: dict[str, Any] = {"rank": 4, "alpha": 8, "targets": ["q_proj", "o_proj", "down_proj"], "keep": True, "seed": 7}


def losses(source: str) -> list[Any]:
    """Loss and gradient norm before the first step, by `level`, `unshared` and `tail`, computed in float64."""
    found: list[Any] = json.loads((jobs.PIPELINE / "targets" / source / "losses.json").read_text(encoding="utf-8"))
    return found


def dtype_of(folder: Path) -> str:
    """Of a golden model's weights."""
    file = next(iter(sorted(folder.glob("model*.safetensors"))))
    dtypes = {str(tensor.dtype).removeprefix("torch.") for tensor in load_file(file).values()}
    assert len(dtypes) == 1
    return dtypes.pop()


def cases(world: int, folder: Path) -> Iterator[dict[str, Any]]:
    there = [name for name in BOTH if model_folder(name) is not None]
    for name in there:
        yield {"case": f"golden {name}", "golden": name, "compute": "float32"}
        if world < 3:
            yield job(folder, f"greedy {name}", jobs.greedy_job, name)
    for name in PIPELINE_MODELS:
        yield job(folder, f"rows {name}", jobs.rows_job, name, block=5)
    for source in SOURCES:
        yield job(folder, f"train {source}", jobs.train_job, source)
        for i, want in enumerate(losses(source)):
            rules = {key: want[key] for key in ("level", "unshared", "tail")}
            yield job(folder, f"losses {source} {i}", jobs.train_job, source, [list(range(8))], rules)
    yield job(folder, "lora", jobs.plain_job, "llama3", 1e-2, 3, lora=LORA)
    if world == 1:
        # As on a device that FSDP2 does not know.
        yield job(folder, "alone", jobs.train_job, "qwen2") | {"alone": True}
        yield job(folder, "alone lora", jobs.plain_job, "llama3", 1e-2, 3, lora=LORA) | {"alone": True}
    if world < 3:
        yield job(folder, "sampled", jobs.sampled_job)
    if world == 2:
        for name in NINE:
            yield {"case": f"bfloat16 {name}", "golden": name, "compute": "bfloat16"}
        for name in [*MODELS, *REFUSED]:
            yield {"case": f"architecture {name}", "architecture": name}
        for name in ANSWERING:
            yield job(folder, f"answers {name}", jobs.architecture_job, folder / name)
        yield job(folder, "rows bfloat16", jobs.rows_job, "mistral", compute="bfloat16")
        yield job(folder, "train bfloat16", jobs.train_job, "qwen2", compute="bfloat16")
        yield job(folder, "rows logits", jobs.rows_job, "qwen2", logits=True, top_k=3)
        for name in there:
            dtype = dtype_of(model_folder(name) or folder)
            yield job(folder, f"unchanged {name}", jobs.plain_job, name, 0.0, 1, dtype=dtype)
        yield job(folder, "shards", jobs.plain_job, "mixtral", 1e-3, 1, shard_bytes=60_000)
        yield job(folder, "one file", jobs.plain_job, "mixtral", 1e-3, 1)
        yield job(folder, "lora internlm2", jobs.plain_job, "internlm2", 1e-2, 2, lora=LORA)
        yield job(folder, "lora bfloat16", jobs.plain_job, "llama3", 1e-2, 2, lora=LORA, compute="bfloat16")
        yield job(folder, "lora unknown", jobs.plain_job, "llama3", 1e-2, 2, lora=LORA | {"targets": ["qkv_proj"]})
        yield job(folder, "targets in shards", sharded_targets)
        yield job(folder, "no rows", without_rows)


def job(folder: Path, case: str, make: Any, *arguments: Any, **more: Any) -> dict[str, Any]:
    return {"case": case, "job": str(make(folder / case.replace(" ", "-"), *arguments, **more))}


def sharded_targets(folder: Path) -> Path:
    """The targets of `train qwen2` cut by rows into three files, one of them without a row."""
    jobs.train_job(folder, "qwen2")
    whole = load_file(folder / "targets.safetensors")
    (folder / "targets.safetensors").unlink()
    rows = len(whole["target_id"])
    for i, (first, last) in enumerate(((0, rows // 3), (rows // 3, rows // 3), (rows // 3, rows))):
        jobs.save_file({k: t[first:last].clone() for k, t in whole.items()}, folder / f"targets-{i:05}.safetensors")
    return folder


def without_rows(folder: Path) -> Path:
    """Three steps of plain fine-tuning; the second has one sequence, which has no row, and one is of a single id."""
    made = {
        "ids": torch.tensor([5, 6, 7, 8, 9, 10, 11, 12, 13], dtype=torch.int32),
        "sequence_start": jobs.ends([4, 4, 1]),
        "position": torch.tensor([1, 2, 3], dtype=torch.int32),
        "row_start": jobs.ends([3, 0, 0]),
    }
    settings = jobs.TRAIN | {"model": str(model_folder("mistral")), "lambda": 1}
    return jobs.put(folder, settings, sequences=made, steps=jobs.steps([[0, 2], [1], [0, 1]]))
