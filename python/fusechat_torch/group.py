"""The processes that work on one job together, and what they tell each other besides weights and gradients.

Small sums go between processors, also where weights go between GPUs: they need no place there, and every device has them.
"""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import torch
import torch.distributed as dist

from .errors import InputError


@dataclass(frozen=True)
class Group:
    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        return self.rank == 0

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over processes, on the processor."""
        own = values.detach().cpu()
        dist.all_reduce(own)
        return own

    def largest(self, value: float) -> float:
        own = torch.tensor([value], dtype=torch.float64)
        dist.all_reduce(own, dist.ReduceOp.MAX)
        return own.item()

    def any(self, flag: bool) -> bool:
        """True everywhere where any process says so."""
        return self.largest(float(flag)) > 0

    def gathered(self, value: Any) -> list[Any]:
        """Every process's value, by rank, everywhere."""
        found: list[Any] = [None] * self.world
        dist.all_gather_object(found, value)
        return found

    def barrier(self) -> None:
        self.total(torch.zeros(1))


def device_of(wanted: Literal["auto", "cpu", "cuda", "mps"]) -> torch.device:
    """This process's device. InputError where what the job asks for is not there."""
    processes, place = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    if wanted == "auto":
        single = processes == 1 and torch.backends.mps.is_available()
        wanted = "cuda" if torch.cuda.is_available() else "mps" if single else "cpu"
    if wanted == "cuda":
        count = torch.cuda.device_count()
        if not torch.cuda.is_available() or place >= count:
            built = "" if torch.version.cuda else "; this PyTorch is built without CUDA"
            raise InputError(f"device cuda: process {place} of this machine finds {count} GPUs{built}")
        torch.cuda.set_device(place)
        return torch.device("cuda", place)
    if wanted == "mps":
        if not torch.backends.mps.is_available():
            raise InputError("device mps: this machine has no such device")
        if processes > 1:
            raise InputError(f"device mps: one process can use it, found {processes}")
    return torch.device(wanted)


def join(device: torch.device) -> Group:
    """Waits for the other processes; alone it waits for nobody."""
    for key, value in {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}.items():
        os.environ.setdefault(key, value)
    on_gpu = device.type == "cuda"
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if on_gpu else "gloo", timeout=timedelta(minutes=30), device_id=device if on_gpu else None
    )
    return Group(dist.get_rank(), dist.get_world_size(), device)
