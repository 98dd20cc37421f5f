"""Tensors in safetensors files, mapped and not read: what a file says it has is checked before anything is taken from it."""

import json
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from .errors import InputError
from .files import first_line, put_in_place

#: Names of the dtypes that weights and arrays have here.
DTYPE_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
}


@dataclass(frozen=True)
class StoredTensor:
    file: Path
    dtype: str
    shape: tuple[int, ...]


def read_header(path: Path) -> dict[str, StoredTensor]:
    """Tensors by name, in the order of their bytes. InputError where it is no whole safetensors file."""
    open_tensors(path)  # the package's own checks: overlaps, gaps, sizes, a length that the file does not have
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    ordered = sorted(header.items(), key=lambda entry: (entry[1]["data_offsets"], entry[0]))
    return {name: StoredTensor(path, entry["dtype"], tuple(entry["shape"])) for name, entry in ordered}


def open_tensors(path: Path) -> Any:
    try:
        return safe_open(path, "pt")
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: expected a safetensors file, found something else ({first_line(error)})") from None


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """One whole file of small tensors, in the order given, put in place at once."""
    temporary = path.with_name(f"{path.name}.tmp")
    writer = TensorWriter(temporary, {name: (t.dtype, tuple(t.shape)) for name, t in tensors.items()}, metadata)
    for tensor in tensors.values():
        writer.append(tensor)
    writer.close()
    put_in_place(temporary, path)


class TensorWriter:
    """A file written tensor by tensor, or in parts of one, so that no more than one is ever held."""

    def __init__(
        self,
        path: Path,
        tensors: Mapping[str, tuple[torch.dtype, tuple[int, ...]]],
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        header: dict[str, Any] = {} if metadata is None else {"__metadata__": dict(metadata)}
        end = 0
        for name, (dtype, shape) in tensors.items():
            start = end
            end += torch.Size(shape).numel() * dtype.itemsize
            header[name] = {"dtype": DTYPE_NAMES[dtype], "shape": list(shape), "data_offsets": [start, end]}
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        self._size = 8 + len(text) + end
        self._file = path.open("wb")
        self._file.write(struct.pack("<Q", len(text)) + text)

    def append(self, tensor: torch.Tensor) -> None:
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        if flat.numel() > 0:
            self._file.write(flat.view(torch.uint8).numpy().data)

    def close(self) -> None:
        """Flushed to the disk, and as long as the header says."""
        with self._file:
            self._file.flush()
            written = self._file.tell()
            if written != self._size:
                raise AssertionError(f"{self._file.name}: {written} bytes written of {self._size}")
            os.fsync(self._file.fileno())
