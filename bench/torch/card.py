"""What the torch engine does on a card, part by part (../torch-gpu.sh): `card.py PART [--tiny]`. With `--tiny` the same code
runs on a processor at a size that takes seconds, so that it is tried before a card is paid for.

Figures go out as they come. Peaks are the makers' dense bfloat16 figures.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from fusechat_torch import FORMAT
from fusechat_torch.attention import Context, attend
from fusechat_torch.group import device_of, join
from fusechat_torch.job import Job, RowsSettings
from fusechat_torch.model import build
from fusechat_torch.packs import Pack
from safetensors.torch import load_file, save_file
from tests.golden import NINE, THIRTEEN, facts, model_folder

TINY = "--tiny" in sys.argv
DEVICE = "cpu" if TINY else "cuda"
PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12}

#: vocabulary, hidden size, layers, heads, key heads, intermediate size
SEVEN = (32000, 4096, 32, 32, 8, 14336)
ONE = (32000, 2048, 22, 32, 4, 5632)
SMALL = (512, 64, 2, 4, 2, 128)


def say(*words: object) -> None:
    print(*words, flush=True)


def goldens() -> None:
    """Logits in float32 of every golden model, against the references."""
    group = join(device_of(DEVICE))
    worst = 0.0
    for name in (*NINE, *THIRTEEN):
        folder = model_folder(name)
        if folder is None:
            say(f"{name}: not here")
            continue
        with TemporaryDirectory() as scratch:
            model = build(Job(Path(scratch), "rows", folder, DEVICE, "float32", 512, RowsSettings(1, 1, True), ""), group)
        want, lengths = load_file(folder / "golden.safetensors"), facts(name)["unpadded"]
        for s, length in enumerate(lengths[:2]):
            ids = want["input_ids"][s, :length].long().to(group.device)
            context, at = Context(Pack.of([length], group.device)), torch.arange(length, device=group.device)
            with torch.no_grad():
                got = model(ids, context, at, lambda hidden, decoder: decoder.head().logits(hidden))
            difference = (got.cpu() - want["logits"][s, :length]).abs().max().item()
            worst = max(worst, difference)
            if difference > 1e-4:
                say(f"{name}: DIFFERS by {difference:.1e}, allowed 1e-4")
    say(f"goldens: logits within {worst:.1e} of the references (allowed 1e-4)")


def attention() -> None:
    """The fused kernel for packs against the loop over sequences, and both against float64: values and gradients."""
    torch.manual_seed(0)
    lengths = [5, 17, 3] if TINY else [700, 33, 2048, 1, 512]
    for heads, key_heads, size in ((8, 8, 64), (32, 8, 128)):
        for window in (None, 4 if TINY else 256):
            made = [torch.randn(sum(lengths), h, size, dtype=torch.float64) for h in (heads, key_heads, key_heads)]
            upstream = torch.randn(sum(lengths), heads, size, dtype=torch.float64)
            results = {}
            for name, dtype, device in (
                ("float64", torch.float64, "cpu"),
                ("loop", torch.bfloat16, "cpu"),
                *((("fused", torch.bfloat16, DEVICE),) if DEVICE == "cuda" else ()),
            ):
                own = [t.to(device, dtype).clone().requires_grad_() for t in made]
                context = Context(Pack.of(lengths, torch.device(device)))
                out = attend(own[0], own[1], own[2], context, 0, size**-0.5, window, None, None)
                out.backward(upstream.to(device, dtype))
                results[name] = [t.detach().cpu().double() for t in (out, *(t.grad for t in own))]
            for name in [key for key in results if key != "float64"]:
                errors = [((a - b).norm() / b.norm()).item() for a, b in zip(results[name], results["float64"], strict=True)]
                words = ", ".join(f"{what} {error:.1e}" for what, error in zip(("out", "dq", "dk", "dv"), errors, strict=True))
                say(f"attention {heads}/{key_heads} heads, window {window}, {name}: {words}")


def random_model(folder: Path, shape: tuple[int, ...]) -> int:
    """A random Mistral in bfloat16; the number of its parameters."""
    vocabulary, hidden, layers, heads, key_heads, intermediate = shape
    folder.mkdir()
    size = hidden // heads
    config = {
        "architectures": ["MistralForCausalLM"],
        "model_type": "mistral",
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": key_heads,
        "intermediate_size": intermediate,
        "max_position_embeddings": 32768,
        "sliding_window": None,
        "rms_norm_eps": 1e-5,
        "rope_theta": 1e6,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "torch_dtype": "bfloat16",
    }
    (folder / "config.json").write_text(json.dumps(config))
    torch.manual_seed(3)
    parameters, index = 0, {}
    parts = [
        {
            "model.embed_tokens.weight": (vocabulary, hidden),
            "model.norm.weight": (hidden,),
            "lm_head.weight": (vocabulary, hidden),
        }
    ]
    for layer in range(layers):
        stem = f"model.layers.{layer}"
        parts.append(
            {
                f"{stem}.self_attn.q_proj.weight": (hidden, hidden),
                f"{stem}.self_attn.k_proj.weight": (key_heads * size, hidden),
                f"{stem}.self_attn.v_proj.weight": (key_heads * size, hidden),
                f"{stem}.self_attn.o_proj.weight": (hidden, hidden),
                f"{stem}.mlp.gate_proj.weight": (intermediate, hidden),
                f"{stem}.mlp.up_proj.weight": (intermediate, hidden),
                f"{stem}.mlp.down_proj.weight": (hidden, intermediate),
                f"{stem}.input_layernorm.weight": (hidden,),
                f"{stem}.post_attention_layernorm.weight": (hidden,),
            }
        )
    for number, shapes in enumerate(parts):
        file = f"model-{number + 1:05}-of-{len(parts):05}.safetensors"
        tensors = {}
        for name, extents in shapes.items():
            drawn = torch.randn(extents, dtype=torch.bfloat16, device=DEVICE) * 0.02
            tensors[name] = (drawn if len(extents) > 1 else torch.ones_like(drawn)).cpu()
            parameters += tensors[name].numel()
        save_file(tensors, folder / file, {"format": "pt"})
        index |= dict.fromkeys(shapes, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    return parameters


def write_job(folder: Path, model: Path, count: int, length: int, settings: dict, steps: int = 0) -> None:
    """`count` sequences of `length` ids, the second half of each its rows."""
    folder.mkdir()
    vocabulary = json.loads((model / "config.json").read_text())["vocab_size"]
    torch.manual_seed(5)
    rows = length // 2
    position = torch.arange(length - rows, length, dtype=torch.int32)
    save_file(
        {
            "ids": torch.randint(3, vocabulary, (count * length,), dtype=torch.int32),
            "sequence_start": torch.arange(count + 1) * length,
            "position": position.repeat(count),
            "row_start": torch.arange(count + 1) * rows,
        },
        folder / "sequences.safetensors",
    )
    if steps:
        each = count // steps
        save_file(
            {
                "batch": torch.arange(count, dtype=torch.int32),
                "batch_start": torch.arange(steps + 1) * each,
                "learning_rate": torch.full((steps,), 1e-5, dtype=torch.float64),
            },
            folder / "steps.safetensors",
        )
    common = {"format": FORMAT, "model": str(model), "device": DEVICE, "compute": "bfloat16"}
    (folder / "job.json").write_text(json.dumps(common | settings))


def run_job(folder: Path) -> list[dict]:
    """Its events. In processes of their own, as the program starts them: one a card."""
    count = "1" if TINY else "gpu"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", count]
    command += ["--log-dir", str(folder / "logs")]
    ended = subprocess.run([*command, "-m", "fusechat_torch", str(folder)], capture_output=True, text=True)
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    if ended.returncode != 0:
        error = folder / "error.json"
        say(error.read_text() if error.exists() else ended.stderr[-2000:])
        sys.exit(1)
    return events


def operations(shape: tuple[int, ...], parameters: int, length: int) -> float:
    """Of a forward pass, a token: two a parameter that multiplies, and causal attention, half of a square."""
    vocabulary, hidden, layers, *_ = shape
    return 2 * (parameters - vocabulary * hidden) + 4 * layers * hidden * length / 2


def formula(shape: tuple[int, ...], parameters: int, tokens: int, world: int) -> float:
    """Bytes of a training on each of `world` cards, as docs/clusters.md has them; a tenth and 2 GB for CUDA on top."""
    vocabulary, hidden, layers, heads, key_heads, intermediate = shape
    layer = hidden * (2 * hidden + 2 * hidden * key_heads // heads + 3 * intermediate)
    outside = parameters - layers * layer
    in_layer = 8 * layer + 2 * vocabulary * hidden + tokens * (35 * hidden + 11 * intermediate)
    at_head = 20 * 1024 * vocabulary + 8 * vocabulary * hidden
    work = 2 * outside + 2 * tokens * hidden * (layers - 1) + max(in_layer, at_head)
    held = 16 * parameters / world + max(work, (5 + 4 / world) * outside)
    return held if TINY else 1.1 * held + 2e9


def seven() -> None:
    """Rows and three steps of a random model of seven billion parameters."""
    shape, length, tokens = (SMALL, 64, 256) if TINY else (SEVEN, 2048, 8192)
    world = 1 if TINY else torch.cuda.device_count()
    name = "this processor" if TINY else torch.cuda.get_device_name()
    peak = next((value for key, value in PEAKS.items() if key in name), None)
    with TemporaryDirectory() as scratch:
        model = Path(scratch) / "model"
        parameters = random_model(model, shape)
        say(f"{parameters / 1e9:.2f} billion parameters on {world} x {name}, torch {torch.__version__}")
        per_token = operations(shape, parameters, length)

        def share(rate: float, times: int) -> str:
            return "" if peak is None else f", {100 * rate * per_token * times / peak / world:.0f} % of the bfloat16 peak"

        count = 4 * world * tokens // length
        write_job(
            Path(scratch) / "rows",
            model,
            2 * count,
            length,
            {"kind": "rows", "micro_tokens": tokens, "top_k": 10, "block": count},
        )
        events = run_job(Path(scratch) / "rows")
        # The second block: the first one waits for kernels to be chosen.
        rate = count * length / [event["seconds"] for event in events if event["event"] == "progress"][-1]
        held = events[-1]["peak_bytes"]
        say(f"rows: {rate:.0f} tokens/s{share(rate, 1)}, {held / 1e9:.1f} GB")
        adam = {"lambda": 1, "clip_norm": 1, "betas": [0.9, 0.999], "epsilon": 1e-8, "weight_decay": 0}
        settings = {"kind": "train", "micro_tokens": tokens, **adam, "checkpoint_steps": 0, "dtype": "bfloat16"}
        write_job(Path(scratch) / "train", model, 3 * count, length, settings, steps=3)
        events = run_job(Path(scratch) / "train")
        steps = [event for event in events if event["event"] == "step"]
        rate = steps[-1]["tokens"] / steps[-1]["seconds"]
        held, stated = events[-1]["peak_bytes"], formula(shape, parameters, tokens, world)
        say(f"training: {rate:.0f} tokens/s{share(rate, 3)}, {held / 1e9:.1f} GB where the formula has {stated / 1e9:.1f}")
        losses = ", ".join(format(step["label_loss"], ".3f") for step in steps)
        say(f"losses {losses}")


def vllm() -> None:
    """Rows of a random model of a billion parameters, ours and vLLM's (its prompt log-probabilities)."""
    shape, length, count = (SMALL, 64, 8) if TINY else (ONE, 1024, 256)
    with TemporaryDirectory() as scratch:
        model, job = Path(scratch) / "model", Path(scratch) / "rows"
        random_model(model, shape)
        write_job(job, model, 2 * count, length, {"kind": "rows", "micro_tokens": 8192, "top_k": 10, "block": count})
        events = run_job(job)
        seconds = [event["seconds"] for event in events if event["event"] == "progress"][-1]
        say(f"rows: {count * length / seconds:.0f} tokens/s")
        try:
            from vllm import LLM, SamplingParams
        except ImportError:
            say("vLLM is not installed")
            return
        engine = LLM(str(model), skip_tokenizer_init=True, dtype="bfloat16", max_model_len=length + 1, max_logprobs=10)
        ids = load_file(job / "sequences.safetensors")["ids"].reshape(2 * count, length).tolist()
        ask = SamplingParams(max_tokens=1, prompt_logprobs=10, detokenize=False)
        for part in (ids[:count], ids[count:]):  # the first part warms up
            began = time.monotonic()
            engine.generate([{"prompt_token_ids": one} for one in part], ask)
            seconds = time.monotonic() - began
        say(f"vLLM: {count * length / seconds:.0f} tokens/s")


PARTS = {"goldens": goldens, "attention": attention, "seven": seven, "vllm": vllm}

if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    PARTS[sys.argv[1]]()
    sys.stdout.flush()
    os._exit(0)
