"""Low-rank adapters (Hu et al., "LoRA: low-rank adaptation of large language models", section 4.1): W x + f B A x.

A linear module keeps its weight, frozen, and gets two small matrices. The names, the draw of A and the factor alpha / rank
are those of the package peft, so that an adapter written here loads there.
"""

import hashlib
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from .decoder import Decoder
from .errors import InputError
from .job import LoraSettings
from .weights import local_part, local_rows

#: As the only target: every linear module of the layers.
ALL_LINEAR = "all-linear"


class AdaptedLinear(nn.Linear):
    """A linear module whose class was changed after it was made; see `adapt`."""

    factor: float
    #: [rank, in]
    lora_a: nn.Parameter
    #: [out, rank]
    lora_b: nn.Parameter

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + self.factor * F.linear(F.linear(x, self.lora_a), self.lora_b)


def adapt(decoder: Decoder, settings: LoraSettings) -> None:
    """Puts adapters, still without values, on all linear modules of the layers that are targets; freezes the rest."""
    decoder.requires_grad_(False)
    linears = {
        name: module
        for name, module in decoder.base.named_modules()
        if type(module) is nn.Linear and name.startswith("layers.")
    }
    everything = settings.targets == (ALL_LINEAR,)
    for target in () if everything else settings.targets:
        if not any(last_name(name) == target for name in linears):
            known = ", ".join(dict.fromkeys(last_name(name) for name in linears))
            raise InputError(f"lora: no linear module is called {target!r}; this model's are called {known}")
    for name, module in linears.items():
        if everything or last_name(name) in settings.targets:
            module.__class__ = AdaptedLinear
            adapted: Any = module
            adapted.factor = settings.factor
            for key, shape in (
                ("lora_a", (settings.rank, module.in_features)),
                ("lora_b", (module.out_features, settings.rank)),
            ):
                setattr(module, key, nn.Parameter(torch.empty(shape, dtype=torch.float32, device="meta")))


def last_name(name: str) -> str:
    return name.rsplit(".", 1)[-1]


def adapted_modules(decoder: Decoder) -> dict[str, AdaptedLinear]:
    return {name: module for name, module in decoder.base.named_modules() if isinstance(module, AdaptedLinear)}


@torch.no_grad()
def initialise(decoder: Decoder, settings: LoraSettings) -> None:
    """B is 0, so that training begins at the model as it is."""
    for name, module in adapted_modules(decoder).items():
        whole = initial_a(settings, name, module.in_features)
        local = local_part(module.lora_a)
        for first, last, at in local_rows(module.lora_a):
            local[at : at + last - first].copy_(whole[first:last])
        local_part(module.lora_b).zero_()


def initial_a(settings: LoraSettings, module: str, width: int) -> torch.Tensor:
    """A [rank, width] uniform within ±1/sqrt(width): a generator a module, so that processes need not share one."""
    digest = hashlib.sha256(f"{settings.seed}/{module}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
    bound = width**-0.5
    return torch.empty(settings.rank, width).uniform_(-bound, bound, generator=generator)
