"""Streams: the same for the same trial, purpose and epoch, and unlike all others."""

import itertools

import torch
from torch import Tensor

from models.randomness import make_stream
from models.training import build_model
from tests.models.cases import KINDS, make_settings


def draw(seed: int, purpose: str, epoch: int = 0) -> Tensor:
    return torch.randn(1000, generator=make_stream(seed, purpose, epoch))


def test_the_same_seed_purpose_and_epoch_give_the_same_numbers() -> None:
    assert torch.equal(draw(3, "noise", 2), draw(3, "noise", 2))


def test_any_other_seed_purpose_or_epoch_gives_unrelated_numbers() -> None:
    names = list(itertools.product([0, 1, 2, 12], ["noise", "order", "evaluate/test/elbo"], [0, 1, 2, 20]))
    draws = torch.stack([draw(*name) for name in names])
    correlations = draws.corrcoef() - torch.eye(len(names))
    # 1,128 pairs, each normal with standard deviation 1/sqrt(1000): five of those.
    assert correlations.abs().max() < 5 / 1000**0.5


def test_seed_and_epoch_cannot_be_taken_for_one_another() -> None:
    assert not torch.equal(draw(1, "noise", 11), draw(11, "noise", 1))
    assert not torch.equal(draw(1, "noise", 0), draw(0, "noise", 1))


def test_seeds_differ_in_the_bits_that_torchs_generator_keeps() -> None:
    kept = {make_stream(seed, "noise", epoch).initial_seed() % 2**32 for seed in range(40) for epoch in range(40)}
    assert len(kept) == 1600


def test_the_numbers_are_those_of_the_first_release() -> None:
    """A stream that changes makes every stored result another one: then raise SEMANTICS_VERSION."""
    assert make_stream(0, "order", 0).initial_seed() == 1829853113658518448
    assert make_stream(1, "noise", 2).initial_seed() == 2527123095080199418


def test_a_stream_does_not_read_the_global_generator() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        one = draw(0, "noise")
        torch.manual_seed(2)
        assert torch.equal(draw(0, "noise"), one)


def test_building_a_model_neither_reads_nor_moves_the_global_generator() -> None:
    for kind in KINDS:
        settings = make_settings(kind, seed=7)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            before = torch.random.get_rng_state()
            one = build_model(settings, 64).state_dict()
            assert torch.equal(torch.random.get_rng_state(), before)
            torch.manual_seed(2)
            two = build_model(settings, 64).state_dict()
        assert all(torch.equal(one[name], two[name]) for name in one)
