"""Streams: the same for the same trial, purpose and epoch, and unlike all others."""

import itertools
from statistics import NormalDist

import pytest
import torch
from torch import Tensor

from models.build import build_model
from models.randomness import draw_noise, make_key, make_offsets, make_row_keys, make_stream
from tests.models.cases import DIGITS, KINDS, make_settings


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
            one = build_model(settings, DIGITS).state_dict()
            assert torch.equal(torch.random.get_rng_state(), before)
            torch.manual_seed(2)
            two = build_model(settings, DIGITS).state_dict()
        assert all(torch.equal(one[name], two[name]) for name in one)


class TestCounterNoise:
    """The noise of training: of a key and a place, and of nothing else."""

    def test_an_element_depends_on_its_row_and_place_alone(self) -> None:
        keys = make_row_keys([make_key(3, "noise", 1), make_key(4, "noise", 1)], 50)
        eps, eta = draw_noise(keys[..., None] + make_offsets(12))
        alone_eps, alone_eta = draw_noise(keys[1:, 10:20][..., None] + make_offsets(5))
        assert torch.equal(eps[1:, 10:20, :5], alone_eps)
        assert torch.equal(eta[1:, 10:20, :5], alone_eta)

    def test_the_bits_are_those_of_splitmix64(self) -> None:
        """Written out once more in Python's own whole numbers."""
        key, row, place = make_key(5, "noise", 3), 7, 9
        state = (key + (row * 2**20 + place) * 0x9E3779B97F4A7C15) % 2**64
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB % 2**64
        state ^= state >> 31
        eps, eta = draw_noise(make_row_keys([key], 8)[:, 7][..., None] + make_offsets(10))
        assert eta[0, place].item() == (state >> 17) % 2**24 / 2**24
        cell = ((state >> 41) + 0.5) / 2**23
        assert eps[0, place].item() == pytest.approx(NormalDist().inv_cdf(cell), abs=1e-5)

    def test_it_is_normal_and_uniform_and_the_two_are_unrelated(self) -> None:
        eps, eta = (
            n.double().flatten()
            for n in draw_noise(make_row_keys([make_key(0, "noise", 1)], 5000)[..., None] + make_offsets(200))
        )
        n = len(eps)
        for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
            assert abs(eps.pow(power).mean() - moment) < 5 * (variance / n) ** 0.5
        normal = torch.special.ndtr(eps)
        grid = torch.linspace(0.05, 0.95, 19, dtype=torch.float64)
        for sample in (normal, eta):
            shares = torch.searchsorted(sample.sort().values, grid) / n
            assert (shares - grid).abs().max() < 5 * 0.5 / n**0.5
        assert eta.min() >= 0
        assert eta.max() < 1
        assert eps.isfinite().all()
        assert abs(torch.corrcoef(torch.stack([eps, eta]))[0, 1]) < 5 / n**0.5

    def test_neighbouring_rows_places_seeds_and_epochs_are_unrelated(self) -> None:
        keys = [make_key(seed, "noise", epoch) for seed in (0, 1) for epoch in (1, 2)]
        eps, _ = draw_noise(make_row_keys(keys, 1000)[..., None] + make_offsets(8))
        columns = eps.transpose(1, 2).reshape(-1, 1000)
        correlations = columns.corrcoef() - torch.eye(len(columns))
        rows = eps[0].corrcoef() - torch.eye(1000)
        assert correlations.abs().max() < 5 / 1000**0.5
        assert rows.mean().abs() < 0.01

    def test_the_most_extreme_bits_give_finite_numbers(self) -> None:
        centred = torch.tensor([0, 2**23 - 1]).to(torch.float32) * 2.0**-22 + (2.0**-23 - 1)
        assert torch.erfinv(centred).isfinite().all()
        assert torch.equal(centred[0], -centred[1])
