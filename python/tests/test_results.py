"""What a job leaves behind: names, bytes, shards, adapters; and that nothing changes what should not."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from .architectures import ANSWERING, TEXTS, reference
from .cases import BOTH, LORA
from .conftest import Session
from .golden import facts, model_folder
from .jobs import SAMPLING, draws
from .test_goldens import need, read_log

Sessions = Callable[[int], Session]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        return load_file(folder / "model.safetensors")
    files = dict.fromkeys(json.loads(index.read_text())["weight_map"].values())
    return {name: t for file in files for name, t in load_file(folder / file).items()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(one[k].dtype == t.dtype and torch.equal(one[k], t) for k, t in other.items())


@pytest.mark.parametrize("model", BOTH)
def test_a_step_at_rate_0_gives_back_every_tensor_bit_for_bit(session: Sessions, model: str) -> None:
    """Vision towers included, which no parameter is made of."""
    need(model)
    folder = model_folder(model)
    assert folder is not None
    assert equal(weights(session(2).done(f"unchanged {model}")), weights(folder))


def test_shards_have_what_one_file_has_and_no_more_than_asked_for(session: Sessions) -> None:
    out = session(2).done("shards")
    files = sorted(out.glob("model-*.safetensors"))
    assert len(files) > 2
    assert files[0].name == f"model-00001-of-{len(files):05}.safetensors"
    assert all(file.stat().st_size < 60_000 + 4_000 or len(load_file(file)) == 1 for file in files)
    index = json.loads((out / "model.safetensors.index.json").read_text())
    whole = weights(session(2).done("one file"))
    assert equal(weights(out), whole)
    assert index["metadata"]["total_size"] == sum(t.numel() * t.element_size() for t in whole.values())


def test_done_names_every_file_with_its_size(session: Sessions) -> None:
    out = session(2).done("lora")
    done = json.loads((out / "done.json").read_text())
    assert done["kind"] == "train"
    named = ["adapter/adapter_config.json", "adapter/adapter_model.safetensors", "log.jsonl", "model.safetensors"]
    assert sorted(done["files"]) == named
    assert all((out / name).stat().st_size == size for name, size in done["files"].items())
    assert not (out.parent / "checkpoint").exists()


def test_targets_cut_into_files_are_the_same_targets(session: Sessions) -> None:
    cut, whole = session(2).done("targets in shards"), session(2).done("train qwen2")
    assert (cut / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert (cut / "log.jsonl").read_bytes() == (whole / "log.jsonl").read_bytes()


def test_a_step_without_rows_moves_nothing_and_is_no_step_of_the_optimiser(session: Sessions) -> None:
    log = read_log(session(2).done("no rows") / "log.jsonl")
    assert [line["rows"] for line in log] == [3, 0, 3]
    assert [log[1][key] for key in ("loss", "label_loss", "fusion_loss", "grad_norm")] == [0, 0, 0, 0]
    assert log[0]["loss"] > log[2]["loss"] > 0
    assert log[0]["fusion_loss"] == 0


@pytest.mark.parametrize("world", (1, 3))
def test_low_rank_adapters_come_out_the_same_on_any_number_of_processes(session: Sessions, world: int) -> None:
    mine, other = (weights(session(w).done("lora")) for w in (world, 2))
    assert max((mine[name] - other[name]).abs().max().item() for name in mine) < 1e-6


def test_the_merged_model_is_the_base_plus_the_adapter_and_nothing_else_moved(session: Sessions) -> None:
    out = session(2).done("lora")
    adapter, base = load_file(out / "adapter" / "adapter_model.safetensors"), weights(model_folder("llama3"))
    merged = weights(out)
    moved = {name for name in base if not torch.equal(base[name].float(), merged[name])}
    targets = {name for name in base if name.rsplit(".", 2)[-2] in LORA["targets"]}
    assert moved == targets and len(targets) == 6
    for name in targets:
        stem = f"base_model.model.{name.removesuffix('.weight')}"
        a, b = adapter[f"{stem}.lora_A.weight"].double(), adapter[f"{stem}.lora_B.weight"].double()
        assert (base[name].double() + LORA["alpha"] / LORA["rank"] * b @ a - merged[name].double()).abs().max() < 1e-6


def test_peft_loads_the_adapter_and_gives_the_merged_model_s_logits(session: Sessions) -> None:
    peft = pytest.importorskip("peft")
    from transformers import AutoModelForCausalLM

    out, folder = session(2).done("lora"), model_folder("llama3")
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = torch.tensor([facts("llama3")["greedy"]["prompt"]])
    with torch.no_grad():
        plain = base(input_ids=ids).logits
        adapted = peft.PeftModel.from_pretrained(base, out / "adapter")(input_ids=ids).logits
        again = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        again.load_state_dict(weights(out))
        merged = again(input_ids=ids).logits
    assert (adapted - plain).abs().max() > 0.05
    assert (adapted - merged).abs().max() < 1e-4


def test_peft_trains_to_the_same_adapter(session: Sessions) -> None:
    """From the same draw of A, by a loop of its own: peft's modules, autograd's loss, PyTorch's AdamW."""
    peft = pytest.importorskip("peft")
    from transformers import AutoModelForCausalLM

    from fusechat_torch.job import LoraSettings
    from fusechat_torch.lora import initial_a

    out, folder = session(2).done("lora"), model_folder("llama3")
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    config = peft.LoraConfig(r=LORA["rank"], lora_alpha=LORA["alpha"], target_modules=LORA["targets"], lora_dropout=0)
    model = peft.get_peft_model(base, config)
    settings = LoraSettings(LORA["rank"], LORA["alpha"], tuple(LORA["targets"]), True, LORA["seed"])
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for name, p in trained.items():
            if "lora_A" in name:
                module = name.removeprefix("base_model.model.model.").removesuffix(".lora_A.default.weight")
                p.copy_(initial_a(settings, module, p.shape[1]))
    optimiser = torch.optim.AdamW(trained.values(), lr=0, weight_decay=0)
    golden = load_file(folder / "golden.safetensors")
    lengths = facts("llama3")["unpadded"]
    log = read_log(out / "log.jsonl")
    for line in log:
        losses = []
        for s, n in enumerate(lengths):
            ids = golden["input_ids"][s, :n].long()
            logp = model(input_ids=ids[None]).logits[0].log_softmax(-1)
            losses.append(-logp[:-1].gather(1, ids[1:, None])[:, 0])
        loss = torch.cat(losses).mean()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(trained.values(), 1.0)
        assert abs(loss.item() - line["loss"]) < 1e-5
        assert abs(norm.item() / line["grad_norm"] - 1) < 1e-4
        optimiser.param_groups[0]["lr"] = line["lr"]
        optimiser.step()
        optimiser.zero_grad()
    ours = load_file(out / "adapter" / "adapter_model.safetensors")
    assert len(ours) == len(trained) == 12
    for name, p in trained.items():
        assert (ours[name.replace(".default", "")] - p.detach()).abs().max() < 2e-5


def test_an_adapter_on_rows_of_a_shared_matrix_is_merged_into_them(session: Sessions) -> None:
    """InternLM2 has one matrix for queries, keys and values: the rows of keys and values stay."""
    out, base = session(2).done("lora internlm2"), weights(model_folder("internlm2"))
    merged = weights(out)
    config = json.loads((model_folder("internlm2") / "config.json").read_text())
    heads, key_heads = config["num_attention_heads"], config["num_key_value_heads"]
    size = config["hidden_size"] // heads
    name = next(name for name in base if name.endswith("wqkv.weight"))
    rows = (base[name].float() != merged[name]).any(-1).reshape(key_heads, heads // key_heads + 2, size)
    assert rows[:, :-2].any(-1).all()
    assert not rows[:, -2:].any()


def test_adapters_over_bfloat16_weights_learn_as_over_float32(session: Sessions) -> None:
    log = read_log(session(2).done("lora bfloat16") / "log.jsonl")
    exact = read_log(session(2).done("lora") / "log.jsonl")
    assert abs(log[0]["loss"] - exact[0]["loss"]) < 0.02
    assert abs(log[0]["grad_norm"] / exact[0]["grad_norm"] - 1) < 0.05


def test_an_unknown_adapter_target_is_refused_with_those_there_are(session: Sessions) -> None:
    found = session(2).result("lora unknown")
    assert found["ended"] == "InputError"
    assert found["message"] == (
        "lora: no linear module is called 'qkv_proj'; this model's are called "
        "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj"
    )


def test_without_shards_the_same_comes_out(session: Sessions) -> None:
    """A device that FSDP2 does not know has the whole model on one process."""
    for alone, sharded in (("alone", "train qwen2"), ("alone lora", "lora")):
        mine, other = (weights(session(1).done(case)) for case in (alone, sharded))
        assert max((mine[name] - other[name]).abs().max().item() for name in mine) < 1e-6


@pytest.mark.parametrize("name", ANSWERING)
def test_answers_of_other_architectures_are_those_of_whole_passes(session: Sessions, name: str) -> None:
    answers = read_log(session(2).done(f"answers {name}") / "answers.jsonl")
    model = reference(session(2).folder / name)
    for text, answer in zip(TEXTS, answers, strict=True):
        ids = list(text)
        for _ in range(8):
            with torch.no_grad():
                ids.append(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax().item())
        assert answer == ids[len(text) :]


@pytest.mark.parametrize("world", (1, 2))
def test_drawn_answers_are_those_of_a_loop_over_whole_passes(session: Sessions, world: int) -> None:
    from transformers import AutoModelForCausalLM

    answers = read_log(session(world).done("sampled") / "answers.jsonl")
    model = AutoModelForCausalLM.from_pretrained(model_folder("mistral"), dtype=torch.float64)
    prompt = facts("mistral")["greedy"]["prompt"]
    want = []
    for text, numbers in zip((prompt, prompt[:5], prompt), draws(3).tolist(), strict=True):
        ids = list(text)
        for number in numbers:
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([ids])).logits[0, -1, : SAMPLING["vocabulary"]]
            drawn = slowly_drawn(logits.tolist(), number)
            if drawn in range(40, 60):
                break
            ids.append(drawn)
        want.append(ids[len(text) :])
    assert answers == want
    assert min(map(len, want)) < 12 == max(map(len, want))


def slowly_drawn(logits: list[float], number: float) -> int:
    """One id at a time: the 40 most probable at temperature 1.5, of these the fewest that have 90 %, in their order."""
    mass = {i: math.exp((z - max(logits)) / SAMPLING["temperature"]) for i, z in enumerate(logits)}
    ranked = sorted(mass, key=lambda i: (-mass[i], i))[: SAMPLING["top_k"]]
    total, reached, kept = sum(mass[i] for i in ranked), 0.0, []
    for i in ranked:
        if reached >= SAMPLING["top_p"] * total:
            break
        kept.append(i)
        reached += mass[i]
    left = number * reached
    for i in sorted(kept):
        left -= mass[i]
        if left < 0:
            return i
    return kept[0]
