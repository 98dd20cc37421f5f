"""Architectures beyond the golden ones, as transformers itself computes them; what would come out wrong is refused."""

from collections.abc import Callable

import pytest

from .architectures import MODELS, REFUSED
from .conftest import Session


@pytest.mark.parametrize("name", MODELS)
def test_logits_are_those_of_transformers(session: Callable[[int], Session], name: str) -> None:
    found = session(2).result(f"architecture {name}")
    assert found["ended"] == "done", found
    assert found["difference"] < 1e-5


def test_layers_with_a_memory_of_their_own_get_one_sequence_at_a_time(session: Callable[[int], Session]) -> None:
    apart = {name for name in MODELS if not session(2).result(f"architecture {name}")["packs"]}
    assert apart == {"lfm2", "qwen3_next", "jamba", "minimax"}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_come_out_wrong_is_refused(session: Callable[[int], Session], name: str) -> None:
    found = session(2).result(f"architecture {name}")
    assert found["ended"] == "InputError"
    assert REFUSED[name][1] in found["message"]
