"""Micro-batches: how sequences are divided, and what of them reaches the head."""

import torch

from fusechat_torch.arrays import Sequences
from fusechat_torch.attention import Context, attend
from fusechat_torch.packs import Pack, micro_batch, rounds

CPU = torch.device("cpu")


def test_every_sequence_is_in_one_micro_batch_and_none_is_above_the_budget() -> None:
    random = torch.Generator().manual_seed(1)
    for world in (1, 2, 3, 8):
        lengths = torch.randint(1, 300, (97,), generator=random).tolist()
        found = rounds(lengths, world, 512)
        assert all(len(one) == world for one in found)
        assert sorted(i for one in found for own in one for i in own) == list(range(97))
        assert all(sum(lengths[i] for i in own) <= 512 for one in found for own in one)
        assert len(found) <= 1.1 * sum(lengths) / (512 * world) + 1


def test_a_sequence_above_the_budget_is_by_itself() -> None:
    assert rounds([100, 900, 50], 1, 512) == [[[1]], [[0, 2]]]


def test_one_sequence_a_micro_batch_where_a_model_does_not_keep_them_apart() -> None:
    assert rounds([3, 9, 5], 2, 512, single=True) == [[[1], [2]], [[0], []]]


def test_without_sequences_every_process_still_has_a_turn() -> None:
    assert rounds([], 3, 512) == [[[], [], []]]


def test_rows_point_at_the_token_before_their_label() -> None:
    ids = torch.arange(10, 20)
    sequences = Sequences(ids, [0, 4, 10], torch.tensor([1, 3, 2, 5]), [0, 2, 4])
    batch = micro_batch(sequences, [0, 1], CPU)
    assert batch.at.tolist() == [0, 2, 5, 8]
    assert batch.label.tolist() == [11, 13, 16, 19]
    assert batch.row.tolist() == [0, 1, 2, 3]
    assert batch.pack.positions.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 4, 5]
    assert micro_batch(sequences, [1], CPU).row.tolist() == [2, 3]
    nobody = micro_batch(sequences, [], CPU)
    assert len(nobody.ids) == 1 and len(nobody.at) == 0


def test_attention_is_that_of_each_sequence_alone() -> None:
    """Against a loop over queries in float64: windows, caps, sinks, fewer key heads, values of another size."""
    random = torch.Generator().manual_seed(2)
    lengths = [5, 9, 1]
    q, k, v = (torch.randn(15, heads, size, generator=random) for heads, size in ((4, 8), (2, 8), (2, 6)))
    sinks = torch.randn(4, generator=random)
    for window in (None, 3):
        for cap in (None, 2.0):
            for sink in (None, sinks):
                context = Context(Pack.of(lengths, CPU))
                got = attend(q, k, v, context, 0, 0.3, window, cap, sink)
                assert got.shape == (15, 4, 6)
                assert (got - slow(q, k, v, lengths, 0.3, window, cap, sink)).abs().max() < 1e-5


def slow(q, k, v, lengths, scale, window, cap, sinks):
    out = torch.zeros(q.shape[0], q.shape[1], v.shape[2], dtype=torch.float64)
    q, k, v = q.double(), k.double(), v.double()
    start = 0
    for n in lengths:
        for i in range(n):
            first = 0 if window is None else max(0, i - window + 1)
            for h in range(q.shape[1]):
                seen = slice(start + first, start + i + 1)
                scores = k[seen, h // 2] @ q[start + i, h] * scale
                scores = scores if cap is None else cap * torch.tanh(scores / cap)
                mass = scores.exp()
                total = mass.sum() + (0 if sinks is None else sinks[h].double().exp())
                out[start + i, h] = (mass / total) @ v[seen, h // 2]
        start += n
    return out
