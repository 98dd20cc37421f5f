"""A trained model as files: names, shapes and order are those of the checkpoint it came from.

Tensor by tensor, gathered in the written dtype, written by the first process and forgotten. What no parameter is made of
(a vision tower) is carried along; with low-rank adapters so is every tensor that has none, and the others get their sum.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from .errors import Failure
from .files import put_in_place, write_atomic
from .group import Group
from .job import Job, LoraSettings, TrainSettings
from .lora import adapted_modules, last_name
from .model import DTYPES, Model
from .stored import OpenFiles, flat_rows
from .tensor_files import TensorWriter, write_tensors
from .tensor_map import FLOATS, Piece
from .weights import whole_tensor

#: Gathered parameters that are kept at hand: neighbours in a file come from the same ones.
_AT_HAND = 4


def save(model: Model, job: Job, group: Group) -> None:
    settings = job.settings
    assert isinstance(settings, TrainSettings)
    stored = model.tensor_map.stored
    dtype = DTYPES[settings.dtype]
    sizes = {
        name: flat_rows(t.shape) * (t.shape[-1] if len(t.shape) > 1 else 1) * _written(t.dtype, dtype).itemsize
        for name, t in stored.items()
    }
    shards = _shards(sizes, settings.shard_bytes)
    names = ["model.safetensors"]
    if len(shards) > 1:
        names = [f"model-{i + 1:05}-of-{len(shards):05}.safetensors" for i in range(len(shards))]
    source = _Merged(model, settings.lora) if settings.lora else _Trained(model, dtype)
    for file, shard in zip(names, shards, strict=True):
        headers = {name: (_written(stored[name].dtype, dtype), stored[name].shape) for name in shard}
        temporary = job.out / f"{file}.tmp"
        writer = TensorWriter(temporary, headers, {"format": "pt"}) if group.first else None
        for name in shard:
            for part in source.parts(name):
                if writer:
                    writer.append(_checked(name, part, headers[name][0]))
        if writer:
            writer.close()
            put_in_place(temporary, job.out / file)
    if group.first and len(shards) > 1:
        index = {
            "metadata": {"total_size": sum(sizes.values())},
            "weight_map": {name: file for file, shard in zip(names, shards, strict=True) for name in shard},
        }
        write_atomic(job.out / "model.safetensors.index.json", json.dumps(index, indent=2))
    if settings.lora and settings.lora.keep:
        _save_adapter(model, settings.lora, job.out / "adapter", group)


def _written(stored: str, dtype: torch.dtype) -> torch.dtype:
    """Weights get the one dtype; counters and tables keep theirs."""
    return dtype if stored in FLOATS else {"I64": torch.int64, "I32": torch.int32}.get(stored, torch.float64)


def _checked(name: str, values: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """What is finite in float32 need not be in float16, whose largest number is 65,504."""
    written = values.to(dtype)
    if not bool(torch.isfinite(written).all()):
        raise Failure(f"{name} has values that are not finite in {dtype}".replace("torch.", "") + "; write another dtype")
    return written


def _shards(sizes: Mapping[str, int], most: int) -> list[list[str]]:
    shards: list[list[str]] = [[]]
    room = 0
    for name, size in sizes.items():
        if shards[-1] and room + size > most:
            shards.append([])
            room = 0
        shards[-1].append(name)
        room += size
    return shards


class _Trained:
    """Tensors put together from trained parameters. All processes have to ask for the same ones in the same order."""

    def __init__(self, model: Model, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._parameters: dict[str, torch.Tensor] = {**model.decoder.weights(), **model.decoder.kept_buffers()}
        self._files = OpenFiles(model.tensor_map.stored)
        self._at_hand: dict[str, torch.Tensor] = {}
        self._made_of = _pieces_of_tensors(model)

    def parts(self, tensor: str) -> Iterator[torch.Tensor]:
        """The tensor's rows, piece by piece in their order."""
        if tensor not in self._made_of:
            yield self._files.whole(tensor)
            return
        for name, piece in self._made_of[tensor]:
            yield self._rows(name)[piece.first : piece.first + piece.rows]

    def _rows(self, name: str) -> torch.Tensor:
        if name not in self._at_hand:
            if len(self._at_hand) == _AT_HAND:
                self._at_hand.pop(next(iter(self._at_hand)))
            whole = whole_tensor(self._parameters[name], self._dtype)
            self._at_hand[name] = whole.reshape(-1, whole.shape[-1]) if whole.ndim > 1 else whole.reshape(-1)
        return self._at_hand[name]


class _Merged:
    """Tensors of the checkpoint, and where a module was adapted W + alpha / rank * B A, in float32."""

    def __init__(self, model: Model, lora: LoraSettings) -> None:
        self._files = OpenFiles(model.tensor_map.stored)
        self._modules = adapted_modules(model.decoder)
        self._factor = lora.factor
        self._made_of = _pieces_of_tensors(model)

    def parts(self, tensor: str) -> Iterator[torch.Tensor]:
        whole = self._files.whole(tensor)
        for name, piece in self._made_of.get(tensor, []):
            module = self._modules.get(name.removesuffix(".weight"))
            if module is not None:
                a, b = (
                    whole_tensor(module.lora_a, torch.float32).cpu(),
                    whole_tensor(module.lora_b, torch.float32).cpu(),
                )
                whole = whole.float()
                rows = b[piece.first : piece.first + piece.rows] @ a
                whole[piece.offset : piece.offset + piece.rows] += self._factor * rows
        yield whole


def _pieces_of_tensors(model: Model) -> dict[str, list[tuple[str, Piece]]]:
    """By tensor, the parameters and their pieces in the order of the tensor's rows."""
    found: dict[str, list[tuple[str, Piece]]] = {}
    for name, pieces in model.tensor_map.pieces.items():
        for piece in pieces:
            found.setdefault(piece.tensor, []).append((name, piece))
    for own in found.values():
        own.sort(key=lambda entry: entry[1].offset)
    if model.tensor_map.repeated_head is not None:
        embedding = model.decoder.base.get_input_embeddings().weight
        name = next(name for name, p in model.decoder.weights().items() if p is embedding)
        found[model.tensor_map.repeated_head] = [(name, Piece(0, embedding.shape[0], model.tensor_map.repeated_head, 0))]
    return found


def _save_adapter(model: Model, lora: LoraSettings, folder: Path, group: Group) -> None:
    """As peft writes one, for the class that transformers has for the whole checkpoint."""
    tensors: dict[str, torch.Tensor] = {}
    for name, module in adapted_modules(model.decoder).items():
        for key, p in (("lora_A", module.lora_a), ("lora_B", module.lora_b)):
            values = whole_tensor(p, torch.float32)
            tensors[f"base_model.model.{model.decoder.class_prefix}{name}.{key}.weight"] = values.cpu()
    if not group.first:
        return
    folder.mkdir(exist_ok=True)
    write_tensors(folder / "adapter_model.safetensors", dict(sorted(tensors.items())), {"format": "pt"})
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": None,
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "target_modules": sorted({last_name(name) for name in adapted_modules(model.decoder)}),
    }
    write_atomic(folder / "adapter_config.json", json.dumps(config, indent=2) + "\n")
