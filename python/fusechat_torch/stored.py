"""The tensors of a model folder: where each stands, and rows of them from the mapped files."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from .errors import InputError
from .files import read_object
from .tensor_files import StoredTensor, open_tensors, read_header

#: Rows that are compared together.
_BLOCK = 8192


def stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        if not (folder / "model.safetensors").is_file():
            raise InputError(f"{folder}: expected model.safetensors or its index, found neither; other forms are not read")
        return read_header(folder / "model.safetensors")
    found = read_object(index).get("weight_map")
    if not isinstance(found, dict) or not all(_is_name(file) for file in found.values()):
        raise InputError(f"{index}: weight_map: expected an object from tensors to files of this folder")
    tensors: dict[str, StoredTensor] = {}
    for file in dict.fromkeys(found.values()):
        tensors.update((name, t) for name, t in read_header(folder / file).items() if found.get(name) == file)
    for name, file in found.items():
        if name not in tensors:
            raise InputError(f"{index}: {name} should be in {file} and is not; the download is incomplete")
    return tensors


def _is_name(file: object) -> bool:
    return isinstance(file, str) and file.endswith(".safetensors") and not re.search(r"[/\\\0]", file)


def head_tensor(stored: Mapping[str, StoredTensor]) -> str | None:
    """The head's own tensor, where there is one."""
    for last in ("lm_head.weight", "output.weight", "embed_out.weight"):
        for name in stored:
            if name == last or (last == "lm_head.weight" and name.endswith(f".{last}")):
                return name
    return None


def flat_rows(shape: Sequence[int]) -> int:
    """Rows of all dimensions but the last; of a vector its entries."""
    if len(shape) <= 1:
        return shape[0] if shape else 1
    rows = 1
    for size in shape[:-1]:
        rows *= size
    return rows


class OpenFiles:
    """Views of stored tensors, each file opened once."""

    def __init__(self, stored: Mapping[str, StoredTensor]) -> None:
        self._stored = stored
        self._opened: dict[Any, Any] = {}

    def view(self, tensor: str) -> Any:
        path = self._stored[tensor].file
        if path not in self._opened:
            self._opened[path] = open_tensors(path)
        return self._opened[path].get_slice(tensor)

    def rows(self, tensor: str, first: int, last: int) -> torch.Tensor:
        """Rows of all dimensions but the last, flattened: [rows, columns], of a vector [entries]."""
        view, shape = self.view(tensor), self._stored[tensor].shape
        if len(shape) == 0:
            return torch.as_tensor(view[:]).reshape(1)
        if len(shape) <= 2:
            found: torch.Tensor = view[first:last]
            return found
        inner = flat_rows(shape) // shape[0]
        block: torch.Tensor = view[first // inner : -(-last // inner)]
        return block.reshape(-1, shape[-1])[first % inner : first % inner + last - first]

    def whole(self, tensor: str) -> torch.Tensor:
        return self.rows(tensor, 0, flat_rows(self._stored[tensor].shape))


def same_values(stored: Mapping[str, StoredTensor], one: str, other: str) -> bool:
    if stored[one].shape != stored[other].shape or stored[one].dtype != stored[other].dtype:
        return False
    files, rows = OpenFiles(stored), flat_rows(stored[one].shape)
    blocks = ((first, min(first + _BLOCK, rows)) for first in range(0, rows, _BLOCK))
    return all(torch.equal(files.rows(one, *block), files.rows(other, *block)) for block in blocks)
