"""
Model folders as transformers loads them. Standard input: a list of {"folder", "ids", "prompt", "messages"}. The last
line of standard output: {"transformers": its version, "models": [...]}, each with `problems` (what transformers had to
make up or leave out), `logits` [len(ids)][vocabulary] in float32, `greedy`, which goes on from the prompt, `text`,
which is the messages in the folder's chat template, and `text_ids`.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
import transformers
from internlm2 import load_as_llama
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoTokenizer, PreTrainedModel

NEW_TOKENS = 16


def load(folder: Path) -> tuple[PreTrainedModel, dict[str, Any]]:
    config = json.loads((folder / "config.json").read_text())
    if config["model_type"] == "internlm2":
        return load_as_llama(folder, config)
    # Of several parts; without a picture they are their text part.
    loader = AutoModelForImageTextToText if "text_config" in config else AutoModelForCausalLM
    # PyTorch's own attention, which version 4 takes by default, has no caps on scores (Gemma 2).
    return loader.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )


def greedy(model: PreTrainedModel, prompt: list[int]) -> list[int]:
    # Random weights may choose an end token at any time; here nothing ends but the count.
    model.generation_config.eos_token_id = None
    ids = torch.tensor([prompt])
    answer = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=NEW_TOKENS,
        pad_token_id=0,
        use_cache=not keys_change_later(model.config),
    )
    return answer[0, len(prompt) :].tolist()


def keys_change_later(config: Any) -> bool:
    """LongRoPE turns all keys otherwise beyond its original context; transformers 4 goes on with those it has kept."""
    scaling = getattr(config, "rope_scaling", None) or {}
    return scaling.get("rope_type", scaling.get("type")) in ("longrope", "su")


@torch.inference_mode()
def describe(folder: Path, ids: list[int], prompt: list[int], messages: list[dict[str, str]]) -> dict[str, Any]:
    model, loading = load(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    return {
        "problems": sorted(str(problem) for kind in loading.values() for problem in kind),
        "logits": model(torch.tensor([ids])).logits[0].tolist(),
        "greedy": greedy(model, prompt),
        "text": text,
        "text_ids": tokenizer(text, add_special_tokens=False)["input_ids"],
    }


def main() -> None:
    models = [describe(Path(job.pop("folder")), **job) for job in json.load(sys.stdin)]
    print(json.dumps({"transformers": transformers.__version__, "models": models}))


if __name__ == "__main__":
    main()
