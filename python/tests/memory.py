"""`python -m tests.memory CASES`: what one process of a real-sized model holds at its peak, without a byte of it.

Fake tensors, a fake group of processes and FSDP2's own memory tracker count the very modules that would run. The tracker
counts no optimiser: two moments, 8 bytes a trained parameter, come on top. Experts are computed as on a GPU, by grouped
products. What a processor does otherwise than a GPU
(widening the head to float32) is left out, as the figures are those of GPUs.
"""

import contextlib
import json
import struct
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.fsdp2_mem_tracker import FSDPMemTracker
from torch.testing._internal.distributed.fake_pg import FakeStore

from fusechat_torch import head as head_module
from fusechat_torch.attention import Context
from fusechat_torch.decoder import Decoder
from fusechat_torch.group import Group
from fusechat_torch.head import Head, SparseCrossEntropy, chunk_rows
from fusechat_torch.job import LoraSettings
from fusechat_torch.lora import adapt
from fusechat_torch.model import Model, _shard
from fusechat_torch.packs import Pack

DEVICE = torch.device("cpu")
SEQUENCE = 2048


def main(path: str) -> None:
    """A JSON list of cases in, a JSON line a case out."""
    for case in json.loads(Path(path).read_text()):
        print(json.dumps({**case, **peak_of(case)}), flush=True)


def peak_of(case: dict[str, Any]) -> dict[str, Any]:
    world, kind = case["world"], case["kind"]
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=world)
    try:
        with tempfile.TemporaryDirectory() as name:
            _write_folder(Path(name), case["config"])
            model = _model(Path(name), kind, case, Group(0, world, DEVICE))
        trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
        parameters = sum(p.numel() for p in model.parameters())
        moments = sum(8 * _local(p).numel() for p in model.parameters() if p.requires_grad)
        return {"parameters": parameters, "trained": trained, "bytes": _track(model, kind, case["tokens"]) + moments}
    finally:
        dist.destroy_process_group()


def _model(folder: Path, kind: str, case: dict[str, Any], group: Group) -> Model:
    train = kind != "rows"
    lora = LoraSettings(case["rank"], 32, tuple(case["targets"]), False, 0) if kind == "lora" else None
    decoder = Decoder(folder, torch.float32 if kind == "train" else torch.bfloat16, recompute=train, grouped_experts=True)
    if lora:
        adapt(decoder, lora)
    else:
        decoder.requires_grad_(train)
    model = Model(decoder)
    _shard(model, group, torch.bfloat16 if train else torch.float32)
    return model


def _track(model: Model, kind: str, tokens: int) -> int:
    with FakeTensorMode(allow_non_fake_inputs=True), _as_on_a_gpu():
        model._apply(lambda t: torch.empty_like(t, device=DEVICE))  # type: ignore[no-untyped-call]
        ids, at = torch.zeros(tokens, dtype=torch.int64), torch.arange(tokens)
        lengths = [SEQUENCE] * (tokens // SEQUENCE) + ([tokens % SEQUENCE] if tokens % SEQUENCE else [])
        target_id, q = torch.zeros(tokens, 20, dtype=torch.int64), torch.zeros(tokens, 20)
        pack = Pack(lengths, ids, ids.to(torch.int32))
        tracker = FSDPMemTracker(model)  # type: ignore[no-untyped-call]
        tracker.track_inputs(())

        def loss(hidden: torch.Tensor, decoder: Decoder) -> torch.Tensor:
            found = SparseCrossEntropy.apply(hidden, decoder.head_weight, ids, target_id, q, None, 0.9, 1.0, decoder.cap)
            first: torch.Tensor = found[0]
            return first

        def rows(hidden: torch.Tensor, decoder: Decoder) -> None:
            """As `top_rows` does, but for what it does by values."""
            head, step = decoder.head(), chunk_rows(decoder.vocabulary)
            for first in range(0, len(hidden), step):
                z = head.logits(hidden[first : first + step])
                z.logsumexp(-1, keepdim=True)
                (z >= z.topk(10, -1).values[:, -1:]).sum(-1)

        with tracker:
            for step in range(2):
                if kind == "rows":
                    with torch.no_grad():
                        model(ids, Context(pack), at, rows)
                else:
                    model(ids, Context(pack), at, loss).backward()
                if step == 0:
                    tracker.reset_mod_stats()
        peak = tracker.get_tracker_snapshot("peak")
    (kinds,) = peak.values()
    return int(next(b for k, b in kinds.items() if getattr(k, "name", str(k)).lower() == "total"))


def _local(p: Any) -> torch.Tensor:
    local: torch.Tensor = p.to_local()
    return local


def _write_folder(folder: Path, config: dict[str, Any]) -> None:
    """A config, and of the weights a head: that it is there and no copy is all that is asked before they are read."""
    (folder / "config.json").write_text(json.dumps(config))
    header = json.dumps({"lm_head.weight": {"dtype": "BF16", "shape": [1, 1], "data_offsets": [0, 2]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0\0")


@contextlib.contextmanager
def _as_on_a_gpu() -> Iterator[None]:
    """Products of the head take their result in float32 and nothing else."""
    before = Head.__init__, head_module._product

    def make(self: Head, weight: torch.Tensor, cap: float | None) -> None:
        self.weight, self.cap, self._operand = weight, cap, weight.detach()

    def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a.new_empty(a.shape[0], b.shape[1], dtype=torch.float32)

    Head.__init__, head_module._product = make, product  # type: ignore[method-assign]
    try:
        yield
    finally:
        Head.__init__, head_module._product = before  # type: ignore[method-assign]


if __name__ == "__main__":
    main(sys.argv[1])
