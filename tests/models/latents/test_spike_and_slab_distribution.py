"""SpikeAndSlab against closed forms, quadrature and Monte Carlo, in float64."""

import doctest
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck
from torch.distributions import Normal, kl_divergence

from models.latents import spike_and_slab_distribution as distributions
from models.latents.spike_and_slab_distribution import SpikeAndSlab
from tests.models.cases import make_generator


def double(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def draw_uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.empty(count, dtype=torch.float64).uniform_(low, high, generator=generator)


def draw_parameters(count: int, seed: int) -> SpikeAndSlab:
    generator = make_generator(seed)
    return SpikeAndSlab(
        draw_uniform(count, 0.03, 0.97, generator),
        draw_uniform(count, -2, 2, generator),
        draw_uniform(count, -1.5, 0.7, generator).exp(),
    )


def draw_prior(count: int, seed: int) -> SpikeAndSlab:
    """A standard slab, as in every prior of the models, with any alpha."""
    alpha = draw_uniform(count, 0.03, 0.97, make_generator(seed))
    return SpikeAndSlab(alpha, torch.zeros_like(alpha), torch.ones_like(alpha))


probabilities = st.one_of(st.sampled_from([0.0, 1.0, 5e-324, 1e-300, 1e-7, 1 - 1e-16]), st.floats(0, 1))
spike_and_slabs = st.builds(
    lambda *values: SpikeAndSlab(*double(*values)), probabilities, st.floats(-1e3, 1e3), st.floats(1e-300, 1e3)
)
priors = st.builds(
    lambda *values: SpikeAndSlab(*double(*values)), probabilities, st.floats(-1e3, 1e3), st.floats(1e-3, 1e3)
)


class TestKl:
    @pytest.mark.parametrize("standard_prior", [True, False])
    def test_kl_equals_monte_carlo_within_four_standard_errors(self, standard_prior: bool) -> None:
        num_draws, num_samples = 200, 10_000
        q = draw_parameters(num_draws, seed=1)
        p = draw_prior(num_draws, seed=2) if standard_prior else draw_parameters(num_draws, seed=2)
        z = q.sample((num_samples,), generator=make_generator(3))
        log_ratio = q.log_prob(z) - p.log_prob(z)
        error = kl_divergence(q, p) - log_ratio.mean(0)
        standard_error = log_ratio.std(0) / math.sqrt(num_samples)
        assert (standard_error < 0.1 * (1 + kl_divergence(q, p))).all(), "the estimate is sharp enough to tell anything"
        assert ((error / standard_error).abs() < 4).all()
        # Neither above nor below on the whole: the standardised errors average out.
        assert abs((error / standard_error).mean()) < 4 / math.sqrt(num_draws)

    def test_kl_equals_the_formula_of_the_paper(self) -> None:
        q, p = draw_parameters(50, seed=1), draw_prior(50, seed=2)
        formula = [
            g / 2 * (m**2 + s**2 - 1 - math.log(s**2)) + g * math.log(g / a) + (1 - g) * math.log((1 - g) / (1 - a))
            for g, m, s, a in zip(*(t.tolist() for t in (q.slab_prob, q.loc, q.scale, p.slab_prob)), strict=True)
        ]
        torch.testing.assert_close(kl_divergence(q, p), double(*formula), rtol=1e-12, atol=1e-12)

    def test_without_spikes_kl_is_that_of_the_gaussians(self) -> None:
        q, p = draw_parameters(50, seed=1), draw_parameters(50, seed=2)
        one = torch.ones(50, dtype=torch.float64)
        kl = kl_divergence(SpikeAndSlab(one, q.loc, q.scale), SpikeAndSlab(one, p.loc, p.scale))
        gaussian = kl_divergence(Normal(q.loc, q.scale), Normal(p.loc, p.scale))
        torch.testing.assert_close(kl, gaussian, rtol=1e-12, atol=1e-12)

    def test_only_the_spike_counts_where_there_is_no_slab(self) -> None:
        alpha = double(0.01, 0.2, 0.5)
        kl = kl_divergence(SpikeAndSlab(double(0), double(3), double(2)), SpikeAndSlab(alpha, double(0), double(1)))
        torch.testing.assert_close(kl, -torch.log1p(-alpha), rtol=1e-12, atol=0)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_kl_is_zero_for_identical_distributions(self, dtype: torch.dtype) -> None:
        gamma = torch.tensor([0.0, 1e-9, 0.01, 0.2, 0.5, 0.99, 1.0], dtype=dtype)
        standard = SpikeAndSlab(gamma, torch.zeros_like(gamma), torch.ones_like(gamma))
        assert (kl_divergence(standard, standard) == 0).all()
        other = SpikeAndSlab(gamma, torch.full_like(gamma, 1.7), torch.full_like(gamma, 0.3))
        assert (kl_divergence(other, other).abs() < 1e-6).all()

    @given(q=spike_and_slabs, p=priors)
    @settings(max_examples=300)
    def test_kl_is_finite_and_not_negative_for_every_legal_parameter(self, q: SpikeAndSlab, p: SpikeAndSlab) -> None:
        kl = kl_divergence(q, p)
        assert kl.isfinite()
        assert kl >= -1e-12

    @given(gamma=probabilities, alpha=probabilities, log_scale=st.floats(-80, 10), loc=st.floats(-1e3, 1e3))
    @settings(max_examples=300)
    def test_kl_is_finite_and_not_negative_in_the_models_own_precision(
        self, gamma: float, alpha: float, log_scale: float, loc: float
    ) -> None:
        q = SpikeAndSlab(torch.tensor(gamma), torch.tensor(loc), torch.tensor(log_scale).exp())
        kl = kl_divergence(q, SpikeAndSlab(torch.tensor(alpha), torch.tensor(0.0), torch.tensor(1.0)))
        assert kl.dtype == torch.float32
        assert kl.isfinite()
        assert kl >= -1e-6

    @pytest.mark.parametrize("gamma", [0.0, 1.0])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_the_gradient_of_kl_is_finite_where_gamma_is_exactly_zero_or_one(
        self, gamma: float, dtype: torch.dtype
    ) -> None:
        parameters = [torch.tensor(v, dtype=dtype, requires_grad=True) for v in (gamma, 0.7, 0.4)]
        prior = SpikeAndSlab(*(torch.tensor(v, dtype=dtype) for v in (0.2, 0.0, 1.0)))
        kl_divergence(SpikeAndSlab(*parameters), prior).backward()
        assert all(p.grad is not None and p.grad.isfinite() for p in parameters)

    def test_the_gradient_of_kl_is_that_of_finite_differences(self) -> None:
        q, p = draw_parameters(5, seed=1), draw_parameters(5, seed=2)
        parameters = [t.clone().requires_grad_() for t in (q.slab_prob, q.loc, q.scale)]
        assert gradcheck(lambda *values: kl_divergence(SpikeAndSlab(*values), p), parameters)


class TestMoments:
    def test_mean_and_variance_are_those_of_samples(self) -> None:
        num_samples = 20_000
        q = draw_parameters(100, seed=4)
        z = q.sample((num_samples,), generator=make_generator(5))
        centred = (z - z.mean(0)).square()
        assert ((z.mean(0) - q.mean).abs() < 4 * z.std(0) / math.sqrt(num_samples)).all()
        assert ((centred.mean(0) - q.variance).abs() < 4 * centred.std(0) / math.sqrt(num_samples)).all()

    def test_moments_of_the_extremes_are_those_of_the_normal_and_of_zero(self) -> None:
        q = SpikeAndSlab(double(0, 1), double(3, 3), double(2, 2))
        assert q.mean.tolist() == [0, 3]
        assert q.variance.tolist() == [0, 4]
        assert q.stddev.tolist() == [0, 2]


class TestLogProb:
    @pytest.mark.parametrize(
        ("gamma", "loc", "scale"), [(0.3, 0.0, 1.0), (0.9, 1.5, 0.2), (0.01, -4.0, 3.0), (1.0, 0.5, 1.0)]
    )
    def test_mass_at_zero_and_density_elsewhere_make_up_one(self, gamma: float, loc: float, scale: float) -> None:
        q = SpikeAndSlab(double(gamma), double(loc), double(scale))
        at_zero = q.log_prob(double(0)).exp().item()
        assert at_zero == pytest.approx(1 - gamma, abs=1e-12)
        grid = torch.linspace(loc - 12 * scale, loc + 12 * scale, 20_000, dtype=torch.float64)
        assert (grid != 0).all()
        elsewhere = torch.trapezoid(q.log_prob(grid).exp(), grid).item()
        assert elsewhere == pytest.approx(gamma, abs=1e-9)

    def test_away_from_zero_the_density_is_gamma_times_the_normal(self) -> None:
        q = draw_parameters(50, seed=6)
        z = draw_uniform(50, -5, 5, make_generator(7))
        expected = q.slab_prob.log() + Normal(q.loc, q.scale).log_prob(z)
        torch.testing.assert_close(q.log_prob(z), expected)

    def test_it_is_finite_at_both_ends_of_gamma(self) -> None:
        q = SpikeAndSlab(double(0, 1), double(0), double(1))
        assert q.log_prob(double(0, 0)).isfinite().all()
        assert q.log_prob(double(1, 1)).isfinite().all()

    def test_negative_zero_is_zero(self) -> None:
        q = SpikeAndSlab(double(0.3), double(0), double(1))
        assert q.log_prob(double(-0.0)) == q.log_prob(double(0.0))

    def test_a_value_that_is_no_number_is_refused(self) -> None:
        q = SpikeAndSlab(double(0.3), double(0), double(1), validate_args=True)
        for distribution in (q, q.expand((2,))):
            with pytest.raises(ValueError, match="value"):
                distribution.log_prob(double(math.nan))


class TestHardSamples:
    def test_they_are_exactly_zero_at_the_rate_of_the_spike(self) -> None:
        num_samples = 20_000
        q = draw_parameters(100, seed=8)
        zeros = (q.sample((num_samples,), generator=make_generator(9)) == 0).double().mean(0)
        standard_error = (q.slab_prob * (1 - q.slab_prob) / num_samples).sqrt()
        assert ((zeros - (1 - q.slab_prob)).abs() < 4 * standard_error).all()

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_they_are_never_zero_at_gamma_one_and_always_at_gamma_zero(self, dtype: torch.dtype) -> None:
        gamma = torch.tensor([0.0, 1.0], dtype=dtype)
        z = SpikeAndSlab(gamma, torch.tensor(3.0, dtype=dtype), torch.tensor(0.1, dtype=dtype)).sample(
            (1_000_000,), generator=make_generator(10)
        )
        assert (z[:, 0] == 0).all()
        assert (z[:, 1] != 0).all()

    def test_a_draw_of_the_slab_that_rounds_to_zero_does_not_pass_for_a_closed_gate(self) -> None:
        q = SpikeAndSlab(torch.tensor(1.0), torch.tensor(0.0), torch.tensor(1.0))
        z = q.open_gates(torch.tensor([0.0, 1.0]), torch.tensor(0.0))
        assert (z != 0).all()
        assert z.abs()[0] < 1e-37

    def test_what_is_not_zero_is_normal(self) -> None:
        z = SpikeAndSlab(double(0.5), double(2), double(0.5)).sample((40_000,), generator=make_generator(11))
        standardised = (z[z != 0] - 2) / 0.5
        cdf = Normal(0, 1).cdf(standardised.sort().values)
        ranks = (torch.arange(len(cdf)) + 0.5) / len(cdf)
        assert (cdf - ranks).abs().max() < 1.95 / math.sqrt(len(cdf))  # Kolmogorov-Smirnov, p = 0.001

    def test_they_carry_no_gradient(self) -> None:
        parameters = [double(value).requires_grad_() for value in (0.5, 0.0, 1.0)]
        assert not SpikeAndSlab(*parameters).sample(generator=make_generator(0)).requires_grad


class TestTorchContract:
    def test_parameters_broadcast_to_the_batch_shape(self) -> None:
        q = SpikeAndSlab(torch.full((4, 1), 0.5), torch.zeros(3), torch.tensor(1.0))
        assert q.batch_shape == (4, 3)
        assert q.event_shape == ()
        assert q.mean.shape == q.variance.shape == q.log_prob(torch.zeros(3)).shape == (4, 3)
        assert q.sample((2, 5), generator=make_generator(0)).shape == (2, 5, 4, 3)
        assert q.log_prob(torch.zeros(6, 4, 3)).shape == (6, 4, 3)
        assert kl_divergence(q, SpikeAndSlab(torch.tensor(0.2), torch.tensor(0.0), torch.ones(4, 1))).shape == (4, 3)

    def test_expanded_it_is_the_same_distribution(self) -> None:
        q = SpikeAndSlab(double(0.2, 0.7), double(1, -1), double(0.5, 2))
        expanded = q.expand((3, 2))
        assert isinstance(expanded, SpikeAndSlab)
        assert expanded.batch_shape == (3, 2)
        z = double(0, 1.3)
        assert torch.equal(expanded.log_prob(z), q.log_prob(z).expand(3, 2))
        assert torch.equal(expanded.variance, q.variance.expand(3, 2))
        assert (kl_divergence(expanded, q).abs() < 1e-12).all()
        samples = expanded.sample((2,), generator=make_generator(1))
        assert torch.equal(samples, q.sample((2, 3), generator=make_generator(1)))

    @pytest.mark.parametrize(
        ("name", "values"),
        [
            ("slab_prob", (-0.1, 0.0, 1.0)),
            ("slab_prob", (1.1, 0.0, 1.0)),
            ("slab_prob", (math.nan, 0.0, 1.0)),
            ("loc", (0.5, math.nan, 1.0)),
            ("scale", (0.5, 0.0, 0.0)),
            ("scale", (0.5, 0.0, -1.0)),
        ],
    )
    def test_a_parameter_outside_its_range_is_refused_by_name(
        self, name: str, values: tuple[float, float, float]
    ) -> None:
        with pytest.raises(ValueError, match=name):
            SpikeAndSlab(*double(*values))

    def test_both_ends_of_gamma_are_legal(self) -> None:
        SpikeAndSlab(double(0, 1), double(0), double(1), validate_args=True)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_samples_have_the_precision_of_the_parameters(self, dtype: torch.dtype) -> None:
        q = SpikeAndSlab(*(torch.tensor(v, dtype=dtype) for v in (0.5, 0.0, 1.0)))
        assert q.sample(generator=make_generator(0)).dtype == dtype

    def test_the_same_generator_state_gives_the_same_samples_and_another_gives_others(self) -> None:
        q = draw_parameters(50, seed=18)
        generator = make_generator(19)
        first = q.sample(generator=generator)
        assert not torch.equal(q.sample(generator=generator), first)
        assert torch.equal(q.sample(generator=make_generator(19)), first)
        assert not torch.equal(q.sample(generator=make_generator(20)), first)

    def test_with_a_generator_the_global_one_is_neither_read_nor_moved(self) -> None:
        q = draw_parameters(50, seed=21)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            before = torch.random.get_rng_state()
            one = q.sample(generator=make_generator(22))
            assert torch.equal(torch.random.get_rng_state(), before)
            torch.manual_seed(2)
            two = q.sample(generator=make_generator(22))
        assert torch.equal(one, two)

    def test_the_example_in_its_documentation_runs(self) -> None:
        result = doctest.testmod(distributions)
        assert result.attempted >= 2
        assert result.failed == 0
