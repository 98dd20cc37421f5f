"""A model, cut over the processes of a group and loaded: FSDP2 (fully sharded data parallel), layer by layer.

Each process keeps its part of every parameter; a layer's parts are gathered for its forward and its backward pass, cast to
the compute dtype on the way, and gradients are summed in float32 as they are scattered back.
"""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import Shard

from .attention import Context
from .decoder import Decoder
from .errors import InputError
from .group import Group
from .job import Job, TrainSettings
from .journal import tell
from .lora import adapt, initialise
from .packs import Pack
from .tensor_map import TensorMap
from .weights import count, load

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_Read = TypeVar("_Read")


class Model(nn.Module):
    """The decoder and what is done with its hidden states, in one forward: embedding and head are whole only there."""

    tensor_map: TensorMap

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(
        self, ids: torch.Tensor, context: Context, at: torch.Tensor, read: Callable[[torch.Tensor, Decoder], _Read]
    ) -> _Read:
        """ids [T]; `read` gets the hidden states at [n] places, [n, H], and the decoder with its head."""
        return read(self.decoder.hidden(ids, context)[at], self.decoder)


def build(job: Job, group: Group) -> Model:
    """For rows and answers in the compute dtype, for training with float32 weights; frozen ones in the compute dtype."""
    began = time.monotonic()
    settings = job.settings if isinstance(job.settings, TrainSettings) else None
    compute = DTYPES[job.compute]
    lora = settings.lora if settings else None
    if settings and job.compute != "float32" and group.device.type == "mps":
        raise InputError("device mps: training computes in float32 there; set compute to float32")
    dtype = torch.float32 if settings and lora is None else compute
    # The grouped product of experts is a kernel of GPUs, for bfloat16.
    grouped = group.device.type == "cuda" and compute == torch.bfloat16
    decoder = Decoder(job.model, dtype, recompute=settings is not None, grouped_experts=grouped)
    if lora:
        adapt(decoder, lora)
    else:
        decoder.requires_grad_(settings is not None)
    if settings and group.device.type == "cpu":
        decoder.kept_tokens = _kept_tokens(decoder.config, compute)
    model = Model(decoder)
    model.tensor_map = decoder.tensor_map()
    if group.device.type != "mps":
        _shard(model, group, compute if settings else torch.float32)
    # Room on the device for what is on meta; buffers have their values already.
    model._apply(  # type: ignore[no-untyped-call]
        lambda t: torch.empty_like(t, device=group.device) if t.is_meta else t.to(group.device)
    )
    load(decoder, model.tensor_map)
    if lora:
        initialise(decoder, lora)
    group.barrier()
    decoder.packs = _probe(model, group)
    if isinstance(model, FSDPModule):
        # After a forward pass without a backward one the root stays whole: whoever asked it for parameters now would get
        # those instead of the process's parts, and train neither embedding nor head, without an error.
        model.reshard()
    weights = decoder.weights().values()
    tell(
        job.folder,
        "loaded",
        parameters=count(weights),
        trained=count(p for p in weights if p.requires_grad),
        seconds=round(time.monotonic() - began, 3),
    )
    return model


#: Activations that a processor keeps: computing them again took a sixth of a step, for 13 % less memory (28 M parameters).
_KEPT_BYTES = 1e9
#: Below that, matrix products are too small to gain by it.
_LEAST_KEPT_TOKENS = 128


def _kept_tokens(config: Any, compute: torch.dtype) -> int:
    """0: none. A layer's activations are about 17 hidden and 5.5 intermediate states a token."""
    hidden, layers = config.hidden_size, config.num_hidden_layers
    intermediate = getattr(config, "intermediate_size", None)
    intermediate = intermediate if isinstance(intermediate, int) else 4 * hidden
    tokens = int(_KEPT_BYTES / (layers * (17.5 * hidden + 5.5 * intermediate) * compute.itemsize))
    return tokens if tokens >= _LEAST_KEPT_TOKENS else 0


def _shard(model: Model, group: Group, compute: torch.dtype) -> None:
    kinds: dict[str, Any] = {"mesh": init_device_mesh(group.device.type, (group.world,))}
    if compute != torch.float32:
        # Inputs are left as they are: target probabilities would come out of the cast in bfloat16.
        kinds["mp_policy"] = MixedPrecisionPolicy(param_dtype=compute, reduce_dtype=torch.float32, cast_forward_inputs=False)

    def placement(p: nn.Parameter) -> Shard | None:
        """Stacked experts along their rows, where the processes do not divide the experts evenly."""
        across = p.ndim == 3 and p.shape[0] % group.world != 0 and p.shape[1] % group.world == 0
        return Shard(1) if across else None

    parts: list[Any] = [*model.decoder.layers, model]
    for part in parts:
        sharded: FSDPModule = fully_shard(part, shard_placement_fn=placement, **kinds)
        if any(p.requires_grad for p in part.parameters()):
            # Sums over processes: the loss is divided by the rows of the whole step already. Without forcing plain sums
            # the factor 1 becomes an operation that gloo has not.
            sharded.set_gradient_divide_factor(1.0)
            sharded.set_force_sum_reduction_for_comms(True)


@torch.no_grad()
def _probe(model: Model, group: Group) -> bool:
    """Whether what stands before a sequence leaves it as it is: packs that differ in one place alone tell.

    Attention keeps sequences apart; convolutions and recurrent states, which some architectures have in its place, do not.
    Batches of experts may round otherwise, by 0.4 % in bfloat16; a state that leaks in changes everything behind it.
    InputError where a token sees what comes after it, or attention is not this engine's.
    """
    width, lengths = model.decoder.vocabulary, [8, 9]

    def hidden(first_step: int, last: int) -> torch.Tensor:
        ids = [(first_step * i + 1) % width for i in range(8)] + [(7 * i + 3) % width for i in range(8)] + [last % width]
        context = Context(Pack.of(lengths, group.device))
        at = torch.arange(8, 17, device=group.device)
        found: torch.Tensor = model(torch.tensor(ids, device=group.device), context, at, lambda states, _: states.float())
        model.decoder.check_attention(context.attended)
        return found

    def differ(one: torch.Tensor, other: torch.Tensor) -> bool:
        return bool((one - other).abs().max() > 0.02 * one.abs().max())

    plain, other_before, other_after = hidden(1, 5), hidden(5, 5), hidden(1, 6)
    if group.any(differ(plain[:8], other_after[:8])):
        raise InputError(f"{model.decoder.model_type}: its tokens see what comes after them; it is no model of answers")
    return not group.any(differ(plain, other_before))
