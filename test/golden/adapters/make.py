"""Makes the cases of this folder: tiny models, LoRA adapters on them, and what peft makes of the two.

CASE/base and CASE/adapter are what peft saved, CASE/merged.safetensors is merge_and_unload in float64 (rounded once to
float32). Where head and embedding are tied, peft's merge changes both, which is not what the adapter computed: there
merged.safetensors is the unmerged model, each module by itself. Run in this folder:

    python make.py    # torch 2.15.0, transformers 5.23.0, peft 0.21.2, safetensors 0.8.0
"""
import json
import pathlib
import shutil

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

HERE = pathlib.Path(__file__).parent
LINEAR = ["q_proj", "up_proj"]


def llama(tied=False):
    return LlamaForCausalLM(LlamaConfig(vocab_size=20, hidden_size=8, intermediate_size=12, num_hidden_layers=2,
                                        num_attention_heads=2, num_key_value_heads=1, tie_word_embeddings=tied))


def gpt2():
    return GPT2LMHeadModel(GPT2Config(vocab_size=20, n_positions=8, n_embd=8, n_layer=1, n_head=2))


CASES = {
    "plain": (llama, dict(target_modules=LINEAR)),
    "rank-stabilised": (llama, dict(target_modules=LINEAR, use_rslora=True)),
    "patterns": (llama, dict(target_modules=LINEAR, rank_pattern={"q_proj": 2, "layers.1.mlp.up_proj": 5},
                             alpha_pattern={"q_proj": 5, "^model.layers.0.mlp.up_proj": 7})),
    "saved-modules": (llama, dict(target_modules=LINEAR, modules_to_save=["lm_head"])),
    "embeddings": (llama, dict(target_modules=LINEAR + ["embed_tokens", "lm_head"])),
    "dora": (llama, dict(target_modules=LINEAR, use_dora=True)),
    "fan-in-fan-out": (gpt2, dict(target_modules=["c_attn", "c_proj", "c_fc"], fan_in_fan_out=True)),
    "tied-head": (lambda: llama(True), dict(target_modules=LINEAR + ["lm_head"])),
}

torch.manual_seed(7)
for name, (build, settings) in CASES.items():
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    base = build()
    base.save_pretrained(folder / "base")
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", r=3, lora_alpha=6, **settings))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(folder / "adapter")
    adapter = load_file(folder / "adapter/adapter_model.safetensors")
    merged = {}
    if name == "tied-head":
        stored = load_file(folder / "base/model.safetensors")
        stored["lm_head.weight"] = stored["model.embed_tokens.weight"]
        for key, tensor in stored.items():
            module = "base_model.model." + key.removesuffix(".weight")
            merged[key] = tensor.double()
            if module + ".lora_A.weight" in adapter:
                a, b = (adapter[f"{module}.lora_{part}.weight"].double() for part in "AB")
                merged[key] = merged[key] + 2 * b @ a
    else:
        merged = model.double().merge_and_unload().state_dict()
        if name == "fan-in-fan-out":
            del merged["lm_head.weight"]  # GPT-2's embedding once more
    merged = {key: value.detach().float().contiguous().clone() for key, value in merged.items()}
    save_file(merged, folder / "merged.safetensors")
    for extra in ["base/generation_config.json", "adapter/README.md"]:
        (folder / extra).unlink(missing_ok=True)
    config = folder / "adapter/adapter_config.json"
    kept = json.loads(config.read_text())
    kept["base_model_name_or_path"] = "base"
    config.write_text(json.dumps(kept, indent=1) + "\n")
