"""A language model made of transformers' modules: classes by config, our attention in them, and nothing else of it.

Breadth is the reason: whatever architecture that package knows is a source and a pivot here. Of the package only the
modules are used; its loading, saving, caches, masks and generation change their keywords from version to version. Code
that a checkpoint brings along is never run.
"""

import copy
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from .attention import Context, attending, current_context, packed_attention
from .errors import InputError
from .files import first_line, read_object
from .head import Head
from .stored import head_tensor, same_values, stored_tensors
from .tensor_map import TensorMap, map_tensors

HEAD = "lm_head.weight"
#: Rotations whose frequencies depend on how long the sequence is.
_BY_LENGTH = ("dynamic", "longrope", "su")


class Decoder(nn.Module):
    """Token ids to what the head reads, and the head's weight. Parameters are on the meta device until they are loaded."""

    def __init__(self, folder: Path, dtype: torch.dtype, *, recompute: bool = False, grouped_experts: bool = False) -> None:
        super().__init__()
        raw = read_object(folder / "config.json")
        self.folder = folder
        self.model_type = str(raw.get("model_type"))
        whole = read_config(folder, raw)
        text = whole.get_text_config()
        self.config = text
        #: Where the text model stands in the class that transformers has for the whole checkpoint.
        self.class_prefix = "model." if whole is text else "model.language_model."
        base: Any = _base_model(text, dtype, grouped_experts)
        self.base: Any = base
        self.layers = _layers(self.base, text.num_hidden_layers)
        self.lm_head: nn.Module | None = None
        if not _is_tied(folder, text, whole):
            with parameters_on_meta():
                self.lm_head = nn.Linear(text.hidden_size, text.vocab_size, bias=False, dtype=dtype)
        # What a class does to its logits stands in its ForCausalLM, which is not used; wrappers around text cap nothing.
        self.cap: float | None = getattr(text, "final_logit_softcapping", None) if whole is text else None
        self.scale = _number(text, "logit_scale") / _number(text, "logits_scaling")
        check_head(type(base), text, self.scale, self.cap, causal=whole is text)
        self.rope_limit = _rope_limit(text)
        if self.rope_limit is not None:
            self.base.rotary_emb = RotationBySequence(base.rotary_emb)
        #: Attention within chunks of so many tokens is not known here; up to one chunk it is attention.
        self.longest: int | None = getattr(text, "attention_chunk_size", None)
        #: Activations of up to so many tokens are kept, not computed again for the gradient.
        self.kept_tokens = 0
        #: Whether layers keep sequences apart that lie end to end; see `packing.py`.
        self.packs = True
        if recompute:
            for layer in self.layers:
                _recompute(layer, self)

    @property
    def vocabulary(self) -> int:
        return int(self.head_weight.shape[0])

    @property
    def head_weight(self) -> torch.Tensor:
        module: Any = self.base.get_input_embeddings() if self.lm_head is None else self.lm_head
        weight: torch.Tensor = module.weight
        return weight

    def head(self) -> Head:
        return Head(self.head_weight, self.cap)

    def hidden(self, ids: torch.Tensor, context: Context) -> torch.Tensor:
        """ids [T] -> [T, hidden size]."""
        positions = context.pack.positions[None]
        if self.longest is not None and context.longest > self.longest:
            raise InputError(
                f"{self.model_type} attends in chunks of {self.longest} tokens, which is not known here; "
                f"found a sequence of {context.longest}"
            )
        with attending(context):
            out: torch.Tensor = self.base(input_ids=ids[None], position_ids=positions, use_cache=False)[0][0]
        return out * self.scale if self.scale != 1 else out

    def check_attention(self, windows: dict[int, int | None]) -> None:
        """`windows` of the layers that attended through this engine in one call. InputError where others should have, or
        with a window: masks are never made here, so a class that relies on one would do without it."""
        kinds = getattr(self.config, "layer_types", None) or ["attention"] * len(self.layers)
        wanted = [i for i, kind in enumerate(kinds) if "attention" in str(kind) and "linear" not in str(kind)]
        wanted = wanted if hasattr(self.config, "num_attention_heads") else []
        if len(windows) != len(wanted):
            raise InputError(
                f"{self.model_type}: {len(wanted)} layers should attend through this engine, {len(windows)} do; "
                "its class in transformers has an attention of its own"
            )
        alike = len(set(kinds)) == 1 and "sliding" not in str(kinds[0])
        typed = [i for i in wanted if "sliding" in str(kinds[i]) or (alike and getattr(self.config, "sliding_window", None))]
        if typed and not any(windows.get(i) for i in typed):
            raise InputError(f"{self.model_type}: its class in transformers keeps its window in a mask, which is not made here")

    def weights(self) -> dict[str, nn.Parameter]:
        """Parameters by name, without a prefix, in the same order on every process."""
        return {name.removeprefix("base."): p for name, p in self.named_parameters() if not name.startswith("layers.")}

    def kept_buffers(self) -> dict[str, torch.Tensor]:
        """Buffers that a checkpoint has beside parameters: biases of routers, say. Others are computed from the config."""
        kept = self.base.state_dict().keys()
        return {name: buffer for name, buffer in self.base.named_buffers() if name in kept}

    def tensor_map(self) -> TensorMap:
        weights = self.weights()
        embedding = self.base.get_input_embeddings().weight
        name = next(name for name, p in weights.items() if p is embedding)
        return map_tensors(
            self.folder,
            self.config,
            self.model_type,
            {name: tuple(p.shape) for name, p in weights.items() if "lora_" not in name},
            name,
            None if self.lm_head is None else HEAD,
            {name: tuple(buffer.shape) for name, buffer in self.kept_buffers().items()},
        )


def read_config(folder: Path, raw: dict[str, Any]) -> Any:
    """The class of configuration that transformers has for it."""
    if "quantization_config" in raw or "compression_config" in raw:
        raise InputError(f"{folder}: the checkpoint is quantised; take the original weights")
    from transformers import AutoConfig, LlamaConfig

    try:
        if raw.get("model_type") == "internlm2":  # not in transformers: Llama under other names
            others = ("architectures", "model_type", "auto_map", "attn_implementation", "bias")
            if raw.get("bias"):
                raise InputError(f"{folder}: InternLM2 with biases is not known here")
            return LlamaConfig(**{key: value for key, value in raw.items() if key not in others})
        return AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except InputError:
        raise
    except Exception as error:  # whatever its validation raises; the file is from outside
        raise InputError(
            f"{folder / 'config.json'}: transformers does not take it as {raw.get('model_type')!r}: {first_line(error)}"
        ) from error


def _base_model(config: Any, dtype: torch.dtype, grouped_experts: bool) -> nn.Module:
    from transformers import AttentionInterface, AutoModel

    AttentionInterface.register("fusechat", packed_attention)
    if not grouped_experts:  # else what that package chooses
        config._experts_implementation = "eager"
    try:
        with parameters_on_meta():  # without dtype, the checkpoint's own would be taken
            base = AutoModel.from_config(config, attn_implementation="fusechat", dtype=dtype, trust_remote_code=False)
    except Exception as error:  # unknown architectures, fields that contradict each other
        raise InputError(f"transformers has no model for {config.model_type!r} here: {first_line(error)}") from error
    model: nn.Module = base.eval()  # no dropout, no noise in routers, whatever the config says
    return model


@contextmanager
def parameters_on_meta() -> Iterator[None]:
    """Parameters take no room yet. Buffers are computed at construction and stand in no file: on the meta device they
    would be lost, and every number wrong without an error."""
    register = nn.Module.register_parameter

    def on_meta(module: nn.Module, name: str, param: nn.Parameter | None) -> None:
        register(module, name, param)
        if param is not None:
            module._parameters[name] = nn.Parameter(param.to("meta"), param.requires_grad)

    nn.Module.register_parameter = on_meta  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        nn.Module.register_parameter = register  # type: ignore[method-assign]


def _layers(base: nn.Module, count: int) -> nn.ModuleList:
    for module in base.children():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise InputError(f"{type(base).__name__}: expected one list of {count} layers, found none")


def _is_tied(folder: Path, text: Any, whole: Any) -> bool:
    """A head that is there and differs from the embedding counts, whatever the config says (or defaults to)."""
    stored = stored_tensors(folder)
    head = head_tensor(stored)
    tied = bool(getattr(text, "tie_word_embeddings", False) or getattr(whole, "tie_word_embeddings", False))
    if head is None:
        return tied
    if not tied:
        return False
    embeddings = [name for name in stored if name.endswith(("embed_tokens.weight", "tok_embeddings.weight"))]
    return len(embeddings) == 1 and same_values(stored, head, embeddings[0])


def _number(config: Any, name: str) -> float:
    value = getattr(config, name, None)
    return 1.0 if value is None else float(value)


def check_head(kind: type, config: Any, scale: float, cap: float | None, *, causal: bool) -> None:
    """Holds our head against the class's own on three random rows and eight ids: a factor that only this class knows
    (they come with new architectures) would else change every probability without an error."""
    if not causal or config.model_type == "llama":
        return
    from transformers import AutoModelForCausalLM

    hidden, weight = torch.randn(1, 3, config.hidden_size) * 4, torch.randn(8, config.hidden_size) * 0.1
    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(copy.deepcopy(config), dtype=torch.float32, trust_remote_code=False)
        small = nn.Linear(config.hidden_size, 8, bias=False)
        small.weight = nn.Parameter(weight)
        model.set_output_embeddings(small)
        name = next(name for name, child in model.named_children() if isinstance(child, kind))
        setattr(model, name, _Given(hidden))
        with torch.no_grad():
            theirs = model(input_ids=torch.zeros(1, 3, dtype=torch.long), use_cache=False).logits[0]
    except Exception as error:
        raise InputError(f"{config.model_type}: its head could not be held against ours: {error!r}") from error
    ours = Head(weight, cap).logits(hidden[0] * scale)
    if theirs.shape != ours.shape or not torch.allclose(ours, theirs.float(), rtol=1e-4, atol=1e-4):
        raise InputError(f"{config.model_type}: its class does something to the logits that this engine does not know")


class _Given(nn.Module):
    """Stands for a base model and returns what it was given."""

    def __init__(self, hidden: torch.Tensor) -> None:
        super().__init__()
        self._hidden = hidden

    def forward(self, *_: Any, **__: Any) -> Any:
        return _GivenOutput((self._hidden,))


class _GivenOutput(tuple[Any, ...]):
    """What base models return: the hidden states, by place or by name, and nothing of all else."""

    def __getattr__(self, name: str) -> Any:
        return self[0] if name == "last_hidden_state" else None


def _rope_limit(config: Any) -> int | None:
    """The length up to which rotations are the same for all sequences, None where they are at every length."""
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    limits = []
    for section in (rope, *rope.values()):
        if isinstance(section, dict) and section.get("rope_type", section.get("type")) in _BY_LENGTH:
            limits.append(section.get("original_max_position_embeddings") or config.max_position_embeddings)
    return min(limits, default=None)


class RotationBySequence(nn.Module):
    """Rotations of some models depend on a sequence's length; transformers goes by the longest of a batch, and by what it
    has seen before. Each sequence is given to a fresh copy."""

    def __init__(self, rotation: nn.Module) -> None:
        super().__init__()
        self._fresh = rotation

    def forward(self, x: torch.Tensor, position_ids: torch.Tensor, *rest: Any, **more: Any) -> tuple[torch.Tensor, ...]:
        # Where keys are cached no position is 0, and all are within the limit: one length is as good as another.
        firsts = [*torch.nonzero(position_ids[0] == 0)[:, 0].tolist(), position_ids.shape[1]]
        firsts = firsts if firsts[0] == 0 else [0, *firsts]
        parts = [copy.deepcopy(self._fresh)(x, position_ids[:, a:b], *rest, **more) for a, b in itertools.pairwise(firsts)]
        return tuple(torch.cat(part, 1) for part in zip(*parts, strict=True))


def _recompute(layer: nn.Module, decoder: Decoder) -> None:
    """Activations of a layer are computed again for its gradient. Around the body and not the call: FSDP2's hooks, which
    gather and cast, then run once."""
    body: Callable[..., Any] = layer.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        context = current_context()
        if torch.is_grad_enabled() and sum(context.pack.lengths) > decoder.kept_tokens:

            def again(*args: Any, **kwargs: Any) -> Any:
                with attending(context):  # the backward pass runs in another thread
                    return body(*args, **kwargs)

            return checkpoint(again, *args, use_reentrant=False, preserve_rng_state=False, **kwargs)
        return body(*args, **kwargs)

    layer.forward = forward
