"""The estimate of the total correlation: by enumeration, in closed form, and its limits."""

import math

import pytest
import torch
from torch.distributions import Normal

from models.objectives.objective import Terms
from models.objectives.total_correlation import BetaTotalCorrelation, estimate_total_correlation
from tests.models.cases import make_generator


def make_posteriors(num: int, dim: int) -> tuple[Normal, torch.Tensor]:
    generator = make_generator(0)
    loc = torch.randn(num, dim, generator=generator, dtype=torch.float64)
    scale = 0.3 + torch.rand(num, dim, generator=generator, dtype=torch.float64)
    return Normal(loc, scale), loc + scale * torch.randn(num, dim, generator=generator, dtype=torch.float64)


def test_the_estimate_equals_enumeration_of_the_mixture_of_the_batch() -> None:
    q, z = make_posteriors(4, 3)

    def density(value: float, image: int, latent: int) -> float:
        loc, scale = float(q.loc[image, latent]), float(q.scale[image, latent])
        return math.exp(-(((value - loc) / scale) ** 2) / 2) / (scale * math.sqrt(2 * math.pi))

    for i, estimate in enumerate(estimate_total_correlation(q, z).tolist()):
        densities = [[density(float(z[i, d]), j, d) for d in range(3)] for j in range(4)]
        joint = sum(math.prod(own) for own in densities) / 4
        marginals = [sum(own[d] for own in densities) / 4 for d in range(3)]
        assert estimate == pytest.approx(math.log(joint) - sum(map(math.log, marginals)), rel=1e-12)


def test_independent_latents_have_none_and_copies_have_the_information_of_one() -> None:
    """Narrow posteriors at the corners of a square, then on its diagonal: 0 and log 2 nats."""
    corners = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    scale = torch.full_like(corners, 1e-3)
    apart = estimate_total_correlation(Normal(corners, scale), corners)
    torch.testing.assert_close(apart, torch.zeros(4), atol=1e-5, rtol=0)
    diagonal = corners[[0, 0, 3, 3]]
    copies = estimate_total_correlation(Normal(diagonal, scale), diagonal)
    torch.testing.assert_close(copies, torch.full((4,), math.log(2)))


def test_the_loss_weighs_the_total_correlation_by_beta_and_the_other_parts_of_the_rate_by_one() -> None:
    terms = Terms(
        torch.tensor([1.0, 2.0]), torch.tensor([10.0, 20.0]), {"total_correlation": torch.tensor([0.5, 0.25])}
    )
    assert BetaTotalCorrelation(6.0).loss(terms).item() == 33 + 5 * 0.75
