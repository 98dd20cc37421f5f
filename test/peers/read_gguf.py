"""
A GGUF file as the package `gguf` reads it. Standard input: its path, as JSON. Standard output: {"fields": {key: value},
"tensors": {name: {"type", "shape", "values"}}}; a shape is in GGUF's order, innermost first.
"""

import json
import sys
from typing import Any

from gguf import GGUFReader


def read(path: str) -> dict[str, Any]:
    reader = GGUFReader(path)
    return {
        "fields": {key: field.contents() for key, field in reader.fields.items()},
        "tensors": {
            tensor.name: {
                "type": tensor.tensor_type.name,
                "shape": tensor.shape.tolist(),
                "values": tensor.data.flatten().tolist(),
            }
            for tensor in reader.tensors
        },
    }


if __name__ == "__main__":
    print(json.dumps(read(json.load(sys.stdin))))
