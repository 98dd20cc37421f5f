"""How the next id is drawn, as the calling program draws it: in the order of ids, of what top-k and nucleus leave."""

import pytest
import torch

from fusechat_torch.generate import choose
from fusechat_torch.job import GenerateSettings


def settings(temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0) -> GenerateSettings:
    return GenerateSettings(1, frozenset(), temperature, top_k, top_p, None, False)


def draw(masses: list[float], number: float, **more: float) -> int:
    given = torch.tensor([masses]).log()
    return choose(given, settings(**more), torch.tensor([number], dtype=torch.float64)).item()


def test_greedy_takes_the_lowest_of_equal_ids() -> None:
    assert choose(torch.tensor([[1.0, 2.0, 2.0]]), settings(temperature=0), None).tolist() == [1]


@pytest.mark.parametrize(("number", "want"), [(0.0, 0), (0.09, 0), (0.11, 1), (0.69, 1), (0.71, 2), (0.999999, 2)])
def test_ids_have_their_shares_one_after_another(number: float, want: int) -> None:
    assert draw([0.1, 0.6, 0.3], number) == want


def test_top_k_keeps_the_most_probable_and_of_equal_ones_the_first() -> None:
    assert [draw([0.1, 0.6, 0.3], x, top_k=2) for x in (0.0, 0.66, 0.67, 0.99)] == [1, 1, 2, 2]
    assert {draw([0.25] * 4, x / 10, top_k=2) for x in range(10)} == {0, 1}


def test_a_nucleus_ends_with_the_token_that_reaches_the_wanted_share() -> None:
    assert {draw([0.5, 0.3, 0.2], x / 20, top_p=0.5) for x in range(20)} == {0}
    assert {draw([0.5, 0.3, 0.2], x / 20, top_p=0.51) for x in range(20)} == {0, 1}
    assert {draw([0.5, 0.3, 0.2], x / 20, top_p=0) for x in range(20)} == {0}


def test_a_nucleus_is_of_what_top_k_left() -> None:
    assert {draw([0.4, 0.3, 0.3], x / 20, top_k=2, top_p=0.57) for x in range(20)} == {0}


def test_temperature_sharpens() -> None:
    """Masses 0.2 and 0.8 at temperature 0.5 are 0.04 and 0.64, shares 0.0588 and 0.9412."""
    assert [draw([0.2, 0.8], x, temperature=0.5) for x in (0.058, 0.06)] == [0, 1]


def test_the_last_draw_never_lands_on_an_id_without_mass() -> None:
    assert draw([0.3, 0.7, 1e-30], 1 - 2**-53, top_k=2) == 1
