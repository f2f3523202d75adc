"""Sparsity of trained models and of codes whose Hoyer measure is known."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from models.build import build_model
from models.measures.sparsity import compute_hoyer, compute_sparsity
from models.pixels import to_pixels
from models.training.state import TrainState
from tests.models.cases import (
    DIGITS,
    KINDS,
    make_generator,
    make_settings,
    train,
)


class TestSparsity:
    def test_the_share_of_nonzero_entries_is_the_mean_slab_prob(self, trained: TrainState, digits: Tensor) -> None:
        model = trained.model
        sparsity = compute_sparsity(model, digits, make_generator(0))
        with torch.no_grad():
            gamma = model.latent.slab_prob(model.posterior(to_pixels(digits))).double()
        assert sparsity["slab_prob"] == pytest.approx(float(gamma.mean()), rel=1e-6)
        standard_error = float((gamma * (1 - gamma)).sum().sqrt()) / gamma.numel()
        assert abs(sparsity["nonzero_fraction"] - sparsity["slab_prob"]) <= 4 * standard_error

    def test_a_vsc_is_sparse_and_a_vae_is_not(
        self, trained_vsc: TrainState, digits: Tensor, test_digits: Tensor
    ) -> None:
        vae = train(make_settings("vae", latent_dim=6, epochs=1), digits)[0].model
        dense, sparse = (compute_sparsity(model, test_digits, make_generator(0)) for model in (vae, trained_vsc.model))
        assert dense["slab_prob"] == dense["nonzero_fraction"] == 1
        assert 0.02 < sparse["nonzero_fraction"] < 0.9
        assert sparse["hoyer"] > dense["hoyer"] + 0.1

    def test_active_units_are_those_whose_mean_varies(self, test_digits: Tensor) -> None:
        for kind in KINDS:
            model = build_model(make_settings(kind, latent_dim=5), DIGITS)
            last = model.encoder.layers[-1]
            with torch.no_grad():
                last.weight[:5] *= torch.tensor([0.0, 100, 0, 100, 100])[:, None]  # of the means
                last.bias[10:] = 3.0  # of gamma, if there is one: it stays away from zero
            assert compute_sparsity(model, test_digits, make_generator(0))["active_units"] == 3

    @pytest.mark.parametrize(("scale", "active"), [(0.9, 0), (1.1, 1)])
    def test_a_unit_is_active_from_a_variance_of_one_hundredth(self, scale: float, active: int) -> None:
        """Two latents, one of them dead; the mean of the other is +-scale/10 in turn."""
        model = build_model(make_settings("vae", latent_dim=2, hidden=(1,)), (1, 1, 1))
        first, last = model.encoder.layers
        with torch.no_grad():
            first.weight.fill_(1.0)
            first.bias.fill_(0.0)
            last.weight.copy_(torch.tensor([[0.2 * scale], [0], [0], [0]]))
            last.bias.zero_()
        images = torch.tensor([0, 255], dtype=torch.uint8).repeat(500).view(-1, 1, 1, 1)
        assert compute_sparsity(model, images, make_generator(0))["active_units"] == active

    def test_hoyer_is_absent_where_there_is_one_latent(self, test_digits: Tensor) -> None:
        for kind in KINDS:
            sparsity = compute_sparsity(
                build_model(make_settings(kind, latent_dim=1), DIGITS), test_digits, make_generator(0)
            )
            assert "hoyer" not in sparsity
            assert {"slab_prob", "nonzero_fraction", "active_units"} < sparsity.keys()

    def test_a_code_that_is_always_empty_has_a_hoyer_of_one(self, test_digits: Tensor) -> None:
        model = build_model(make_settings("vsc_sigmoid"), DIGITS)
        with torch.no_grad():
            model.encoder.layers[-1].bias[6:] = -200.0
        sparsity = compute_sparsity(model, test_digits, make_generator(0))
        assert {"slab_prob": 0, "nonzero_fraction": 0, "active_units": 0, "hoyer": 1}.items() <= sparsity.items()


def mean_hoyer(z: Tensor) -> float:  # (N, D)
    return float(compute_hoyer(z, z.std(0)).mean())


class TestHoyer:
    def test_one_hot_codes_have_one(self) -> None:
        z = torch.eye(4, dtype=torch.float64).repeat(10, 1) * torch.linspace(-3, 3, 40, dtype=torch.float64)[:, None]
        assert mean_hoyer(z) == pytest.approx(1)

    def test_dense_codes_of_equal_magnitude_have_zero(self) -> None:
        z = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=4)), dtype=torch.float64)
        assert mean_hoyer(z) == pytest.approx(0, abs=1e-12)

    def test_every_latent_is_measured_in_its_own_standard_deviation(self) -> None:
        z = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=4)), dtype=torch.float64)
        assert mean_hoyer(z * torch.tensor([1e-3, 1, 7, 1e4])) == pytest.approx(0, abs=1e-9)

    def test_an_empty_row_counts_as_one(self) -> None:
        dense = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=2)), dtype=torch.float64)
        z = torch.cat([dense, torch.zeros(4, 2, dtype=torch.float64)])
        assert mean_hoyer(z) == pytest.approx(0.5)
        assert mean_hoyer(torch.zeros(3, 4, dtype=torch.float64)) == 1

    @pytest.mark.parametrize("count", [1, 2, 3, 5, 9])
    def test_of_d_latents_k_equal_ones_give_the_formula(self, count: int) -> None:
        rows = [[float(i in on) for i in range(9)] for on in itertools.combinations(range(9), count)]
        z = torch.tensor(rows + [[-v for v in row] for row in rows], dtype=torch.float64)
        assert mean_hoyer(z) == pytest.approx((3 - math.sqrt(count)) / 2, abs=1e-9)
