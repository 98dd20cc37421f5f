"""Reference data: the project's own copies in `test/golden`, and further models beside the project, where they are there."""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "test" / "golden"
SHARED = ROOT.parent / "shared" / "golden"

#: Nine architectures that every engine knows.
NINE = ("gemma2", "internlm2", "llama", "llama3", "mistral", "mixtral", "phi3", "qwen2", "qwen3")
#: Further ones.
THIRTEEN = (
    "cohere2",
    "gemma3",
    "gemma3_text",
    "glm4",
    "granite",
    "internlm3",
    "llama-yarn",
    "mistral3",
    "olmo2",
    "phi4-mini",
    "qwen2-yarn",
    "qwen3_moe",
    "smollm3",
)


def model_folder(name: str) -> Path | None:
    """None where it is nowhere."""
    for base in (GOLDEN, SHARED):
        folder = base / "models" / name
        if (folder / "golden.safetensors").is_file():
            return folder
    return None


def facts(name: str) -> Any:
    folder = model_folder(name)
    assert folder is not None
    return json.loads((folder / "golden.json").read_text(encoding="utf-8"))
