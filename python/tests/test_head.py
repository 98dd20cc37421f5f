"""The chunked head and loss against autograd on whole logits in float64."""

import math

import pytest
import torch

from fusechat_torch import head as head_module
from fusechat_torch.head import Head, SparseCrossEntropy, chunk_rows, top_rows


def example(rows: int = 37, vocabulary: int = 50, width: int = 6) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(3)
    ids = torch.stack([torch.randperm(vocabulary, generator=random)[:width] for _ in range(rows)])
    q = torch.rand(rows, width, generator=random)
    q[torch.rand(rows, width, generator=random) < 0.3] = 0
    q[3] = 0
    q = q / q.sum(-1, keepdim=True).clamp(min=1) * 0.8
    return {
        "hidden": torch.randn(rows, 16, generator=random),
        "weight": torch.randn(vocabulary, 16, generator=random) * 0.5,
        "label": torch.randint(vocabulary, (rows,), generator=random),
        "ids": torch.where(q > 0, ids, 0),
        "q": q,
        "tail": (1 - q.sum(-1)).clamp(min=0),
    }


def reference(given: dict[str, torch.Tensor], tail: bool, cap: float | None, label_weight: float) -> torch.Tensor:
    z = given["hidden"] @ given["weight"].T
    z = z if cap is None else cap * torch.tanh(z / cap)
    logp = z.log_softmax(-1)
    label = -logp.gather(1, given["label"][:, None])[:, 0]
    target = -(given["q"] * logp.gather(1, given["ids"])).sum(-1)
    if tail:
        used = torch.zeros_like(z).scatter_add(1, given["ids"], (given["q"] > 0).to(z.dtype)) > 0
        rest = torch.where(used, torch.zeros_like(z), logp.exp()).sum(-1)
        target = target - given["tail"] * torch.log(rest.clamp(min=1e-7))
    return label_weight * label.sum() + (1 - label_weight) * target.sum()


@pytest.mark.parametrize("chunk", (5, 1024))
@pytest.mark.parametrize("cap", (None, 3.0))
@pytest.mark.parametrize("tail", (False, True))
def test_loss_and_gradients_are_those_of_whole_logits(
    monkeypatch: pytest.MonkeyPatch, tail: bool, cap: float | None, chunk: int
) -> None:
    monkeypatch.setattr(head_module, "chunk_rows", lambda _: chunk)
    given = example()
    exact = {k: t.double() if t.is_floating_point() else t for k, t in given.items()}
    for one in (given, exact):
        one["hidden"].requires_grad_(True)
        one["weight"].requires_grad_(True)
    scale = 1 / 37
    want = scale * reference(exact, tail, cap, 0.7)
    want.backward()
    tails = given["tail"] if tail else None
    arguments = given["label"], given["ids"], given["q"], tails, 0.7, scale, cap
    got, sums = SparseCrossEntropy.apply(given["hidden"], given["weight"], *arguments)
    (got * 2).backward()
    assert abs(got.item() - want.item()) < 1e-6
    assert abs(scale * (0.7 * sums[0] + 0.3 * sums[1]).item() - want.item()) < 1e-6
    for key in ("hidden", "weight"):
        difference = given[key].grad / 2 - exact[key].grad
        assert difference.abs().max() < 2e-6 * exact[key].grad.abs().max()


def test_a_target_over_the_whole_vocabulary_leaves_nothing_for_the_tail() -> None:
    """log of nothing is floored at log 1e-7 and pulls at no logit."""
    hidden = torch.randn(2, 4, requires_grad=True)
    weight = torch.randn(3, 4, requires_grad=True)
    ids, q = torch.arange(3).expand(2, 3), torch.full((2, 3), 0.3)
    label, tail = torch.zeros(2, dtype=torch.int64), torch.full((2,), 0.1)
    loss, sums = SparseCrossEntropy.apply(hidden, weight, label, ids, q, tail, 0.5, 1.0, None)
    loss.backward()
    without = (q * -(hidden @ weight.T).log_softmax(-1)).sum()
    assert abs(sums[1].item() - without.item() + 2 * 0.1 * math.log(1e-7)) < 1e-5
    assert torch.isfinite(hidden.grad).all()


def test_most_probable_ids_are_in_order_and_ties_go_to_the_lower_id() -> None:
    hidden = torch.ones(1, 1)
    head = Head(torch.tensor([[1.0], [3.0], [2.0], [3.0], [2.0], [2.0]]), None)
    label_logp, ids, logp = top_rows(hidden, head, torch.tensor([0]), 4)
    assert ids.tolist() == [[1, 3, 2, 4]]
    exact = torch.tensor([1.0, 3.0, 2.0, 3.0, 2.0, 2.0]).double().log_softmax(-1)
    assert torch.allclose(logp.double(), exact[ids], atol=1e-6)
    assert abs(label_logp.item() - exact[0].item()) < 1e-6


def test_drawn_ids_are_those_whose_part_of_the_interval_holds_a_place() -> None:
    random = torch.Generator().manual_seed(5)
    logits = torch.randn(50, 40, generator=random) * 2
    head = Head(torch.eye(40), None)
    uniform = torch.rand(50, generator=random)
    _, ids, logp = top_rows(logits, head, torch.zeros(50, dtype=torch.int64), 8, uniform)
    sums = logits.double().softmax(-1).cumsum(-1)
    for row in range(50):
        places = (torch.arange(8).double() + uniform[row].double()) / 8
        counts = torch.bincount(torch.searchsorted(sums[row], places, right=True), minlength=40)
        order = sorted(((-int(n), i) for i, n in enumerate(counts.tolist()) if n > 0))
        assert ids[row].tolist() == [i for _, i in order] + [0] * (8 - len(order))
        assert torch.allclose(logp[row].exp() * 8, torch.tensor([-n for n, _ in order] + [0] * (8 - len(order))).float())


def test_many_draws_have_the_distribution_as_their_mean() -> None:
    logp = torch.randn(30, generator=torch.Generator().manual_seed(6)).log_softmax(-1)
    uniform = (torch.arange(4096) + 0.5) / 4096
    counts = head_module.draw_counts(logp.expand(4096, 30), uniform, 5)
    # Evenly spread numbers: each of an id's at most two boundaries is off by at most one of 4,096.
    assert (counts.double().mean(0) - 5 * logp.double().exp()).abs().max() < 2 / 4096
    assert bool((counts.sum(-1) == 5).all())


def test_chunks_follow_the_width_of_the_head_alone() -> None:
    assert [chunk_rows(v) for v in (1_000, 32_000, 151_936, 262_208)] == [1024, 1024, 256, 256]
