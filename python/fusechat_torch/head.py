"""Head, log-softmax and losses in chunks of rows: logits exist for some rows at a time, and their gradients with them.

Whole logits of 8,192 rows over 152,000 ids are 5 GB in float32, and a loss holds several of these.
"""

import math
from typing import Any

import torch

#: Logits that are alive together: 1,024 rows of a head of 32,000.
_LOGITS = 1 << 25
#: Chunks of fewer rows would read the head more often than they use it.
_FEWEST_ROWS = 256
#: Under the logarithm of what all other ids have.
_FLOOR = math.log(1e-7)


def chunk_rows(vocabulary: int) -> int:
    """Follows the head's width alone, never the machine: sums then come out the same everywhere."""
    return min(1024, max(_FEWEST_ROWS, _LOGITS // vocabulary))


class Head:
    """The last product of a model: `cap * tanh(h W^T / cap)`, or without a cap `h W^T`. V ids, hidden size H."""

    def __init__(self, weight: torch.Tensor, cap: float | None) -> None:
        self.weight = weight
        self.cap = cap
        # Only GPUs multiply bfloat16 into float32. Widened once, not for every chunk.
        wide = weight.dtype != torch.float32 and not weight.is_cuda
        self._operand = weight.detach().float() if wide else weight.detach()

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """[n, H] -> float32 [n, V]. Rounded to bfloat16 (by 0.06 at 16) neighbours would tie."""
        z = _product(hidden.to(self._operand.dtype), self._operand.T)
        return z if self.cap is None else self.cap * torch.tanh(z / self.cap)


def _product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """In float32, of operands of one dtype."""
    if a.dtype != torch.float32 and a.is_cuda:
        return torch.mm(a, b, out_dtype=torch.float32)
    return a.float() @ b.float()


def exact_sum(values: torch.Tensor) -> torch.Tensor:
    """In float64, which Apple's GPUs have not."""
    return (values.cpu() if values.device.type == "mps" else values).sum(dtype=torch.float64)


class SparseCrossEntropy(torch.autograd.Function):
    """`scale` times the sum over rows of

        label_weight * -log p(label) + (1 - label_weight) * [-sum_k q_k log p(id_k) - t log(1 - sum_k p(id_k))],

    k over the ids of positive q, the last term only where there is a tail t; its logarithm is never below log 1e-7.
    Returns that (float32, with gradients), and of the two terms the sums without weights, float64 [2]. Rows n, places W:
    hidden [n, H], label [n], target_id and target_q [n, W], tail [n].
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        label: torch.Tensor,
        target_id: torch.Tensor,
        target_q: torch.Tensor,
        tail: torch.Tensor | None,
        label_weight: float,
        scale: float,
        cap: float | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        head = Head(weight, cap)
        wanted = ctx.needs_input_grad[0], ctx.needs_input_grad[1]
        d_hidden = torch.zeros_like(hidden) if wanted[0] else None
        d_weight = torch.zeros(weight.shape, dtype=torch.float32, device=weight.device) if wanted[1] else None
        label_sum, target_sum = (exact_sum(hidden.new_zeros(1, dtype=torch.float32)) for _ in range(2))
        step = chunk_rows(weight.shape[0])
        for first in range(0, len(hidden), step):
            chunk = slice(first, first + step)
            z = head.logits(hidden[chunk])
            lse = z.logsumexp(-1, keepdim=True)
            q, at, own = target_q[chunk], target_id[chunk], label[chunk, None]
            label_sum += exact_sum(lse - z.gather(1, own))
            target_sum += exact_sum(q * (lse - z.gather(1, at)))
            p = (z - lse).exp()
            dz = p * (label_weight + (1 - label_weight) * q.sum(-1, keepdim=True))
            if tail is not None:
                t = tail[chunk, None]
                rest = _without(z, at, q)
                rest_lse = rest.logsumexp(-1, keepdim=True)
                log_rest = rest_lse - lse
                target_sum -= exact_sum(t * log_rest.clamp(min=_FLOOR))
                # Where nothing is left, rest - rest_lse is not a number: chosen away, as a product with 0 would keep it.
                pull = torch.where(log_rest > _FLOOR, p - (rest - rest_lse).exp(), 0.0)
                dz += (1 - label_weight) * t * pull
                del rest, pull
            dz.scatter_add_(1, own, torch.full_like(lse, -label_weight))
            dz.scatter_add_(1, at, (label_weight - 1) * q)
            if d_hidden is None and d_weight is None:
                continue
            if cap is not None:
                dz *= 1 - (z / cap).square()
            del z, p
            small = (dz * scale).to(hidden.dtype)
            if d_hidden is not None:
                d_hidden[chunk] = small @ weight
            if d_weight is not None:
                d_weight += _product(small.T, hidden[chunk])
        ctx.save_for_backward(d_hidden, None if d_weight is None else d_weight.to(weight.dtype))
        total = scale * (label_weight * label_sum + (1 - label_weight) * target_sum)
        return total.float().to(hidden.device), torch.stack([label_sum, target_sum])

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        d_hidden, d_weight = ctx.saved_tensors
        scaled = [None if d is None else d * gradients[0].to(d.dtype) for d in (d_hidden, d_weight)]
        return (*scaled, None, None, None, None, None, None, None)


def _without(z: torch.Tensor, at: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """Logits with those of the ids of positive q at -inf. Unused places stand for the row's first used one."""
    first = at.gather(1, (q > 0).to(torch.int8).argmax(-1, keepdim=True))
    rest = z.scatter(1, torch.where(q > 0, at, first), -math.inf)
    return torch.where((q > 0).any(-1, keepdim=True), rest, z)


def top_rows(
    hidden: torch.Tensor, head: Head, label: torch.Tensor, k: int, uniform: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Log-probability of each label [n], the k most probable ids [n, k] (ties: lower id first) and theirs [n, k], nats.

    With `uniform` [n], 0 up to below 1, k ids are drawn from each row instead: those ids, the most frequent first, and
    log(count / k); places that are left have id 0 and -inf.
    """
    label_logp = [hidden.new_zeros(0, dtype=torch.float32)]
    top_id, top_logp = [label.new_zeros(0, k)], [hidden.new_zeros(0, k, dtype=torch.float32)]
    step = chunk_rows(head.weight.shape[0])
    for first in range(0, len(hidden), step):
        z = head.logits(hidden[first : first + step])
        lse = z.logsumexp(-1, keepdim=True)
        label_logp.append((z.gather(1, label[first : first + step, None]) - lse)[:, 0])
        if uniform is None:
            value, at = z.topk(k, -1)
            tied = (z >= value[:, -1:]).sum(-1) > k
            if tied.any():  # topk takes any of them
                exact = z[tied].sort(dim=-1, descending=True, stable=True)
                value[tied], at[tied] = exact.values[:, :k], exact.indices[:, :k]
        else:
            value, at = draw_counts(z - lse, uniform[first : first + step], k).topk(k, -1)
        at, order = at.sort(-1)
        value, order = value.gather(1, order).sort(dim=-1, descending=True, stable=True)
        at = at.gather(1, order)
        top_id.append(at if uniform is None else at.where(value > 0, 0))
        top_logp.append(value - lse if uniform is None else (value / k).log())
    return torch.cat(label_logp), torch.cat(top_id), torch.cat(top_logp)


def draw_counts(logp: torch.Tensor, uniform: torch.Tensor, k: int) -> torch.Tensor:
    """How often each id is drawn of log-probabilities [n, V], k times a row: float32 [n, V].

    Systematic sampling, in float64: of k places (j + u) / k each goes to the id whose part of the unit interval it falls
    into, so that an id is drawn k p times in the mean.
    """
    if logp.device.type == "mps":
        return draw_counts(logp.cpu(), uniform.cpu(), k).to(logp.device)
    sums = logp.double().exp().cumsum(-1)
    below = (sums / sums[:, -1:] * k - uniform.double()[:, None]).ceil()
    return below.diff(dim=-1, prepend=torch.zeros_like(below[:, :1])).float()
