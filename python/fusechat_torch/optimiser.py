"""AdamW (Loshchilov and Hutter, "Decoupled weight decay regularization", algorithm 2) on the parts that a process has."""

from collections.abc import Iterable, Mapping

import torch
from torch import nn

from .group import Group
from .job import TrainSettings
from .weights import local_part


class Optimiser:
    """Weights, moments and the step count of what is trained, by name."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], settings: TrainSettings) -> None:
        self.parameters = {name: p for name, p in parameters.items() if p.requires_grad}
        self._clip_norm = settings.clip_norm
        trained = list(self.parameters.values())
        groups = [
            # Decay is for matrices alone: norms and biases are one-dimensional.
            {"params": [p for p in trained if p.ndim >= 2], "weight_decay": settings.weight_decay},
            {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
        ]
        self._adamw = torch.optim.AdamW(
            [group for group in groups if group["params"]],
            lr=0.0,
            betas=settings.betas,
            eps=settings.epsilon,
            fused=all(not p.is_mps for p in trained),
        )
        for p in trained:  # before the first step, as a checkpoint is read into them
            steps = torch.zeros((), device=p.device if p.is_cuda else "cpu")
            self._adamw.state[p] = {"step": steps, "exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)}

    def step(self, learning_rate: float, group: Group) -> float:
        """One update with the gradients there are, which are dropped. Returns their norm before clipping."""
        norm = self._clip(group)
        for parameters in self._adamw.param_groups:
            parameters["lr"] = learning_rate
        self._adamw.step()
        self._adamw.zero_grad(set_to_none=True)
        return norm

    @torch.no_grad()
    def _clip(self, group: Group) -> float:
        """The global norm in float64, from each process's own parts: PyTorch's function needs one mesh for all parameters."""
        gradients = [local_part(p.grad) for p in self.parameters.values() if p.grad is not None]
        gradients = [g for g in gradients if g.numel() > 0]
        norm = float(group.total(_square(gradients)).sqrt())
        factor = self._clip_norm / (norm + 1e-6)
        if factor < 1 and gradients:
            torch._foreach_mul_(gradients, factor)
        return norm

    @property
    def steps(self) -> int:
        """Updates done: steps without a row are none."""
        return int(self._adamw.state[next(iter(self.parameters.values()))]["step"].item())

    @steps.setter
    def steps(self, count: int) -> None:
        for p in self.parameters.values():
            self._adamw.state[p]["step"].fill_(count)

    def state(self) -> dict[str, torch.Tensor]:
        """The very tensors, by flat names: a checkpoint of one number of processes is read by another's."""
        found: dict[str, torch.Tensor] = {}
        for name, p in self.parameters.items():
            found[f"weight/{name}"] = p
            found[f"mean/{name}"] = self._adamw.state[p]["exp_avg"]
            found[f"square/{name}"] = self._adamw.state[p]["exp_avg_sq"]
        return found


def _square(gradients: Iterable[torch.Tensor]) -> torch.Tensor:
    """The sum of squares of all entries: within a tensor in its dtype, between tensors in float64."""
    norms = torch._foreach_norm(list(gradients)) or [torch.zeros(())]
    return torch.stack(list(norms)).cpu().double().square().sum()
