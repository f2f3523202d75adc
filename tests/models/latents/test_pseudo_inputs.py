"""Pseudo-inputs: the rate against Monte Carlo, the sparsity term, the selector, the warm-up, samples of the prior."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from models.autoencoder import Autoencoder
from models.build import build_model, build_objective
from models.latents.latent import At
from models.latents.pseudo_inputs import PseudoInputLatent
from models.latents.spike_and_slab_distribution import SpikeAndSlab, compute_kl
from models.measures.bounds import compute_bound, compute_iw_bound
from models.randomness import CounterNoise
from tests.models.cases import SMALL, expand, make_generator, make_images, make_noise, make_settings

KINDS = ("vsc_uai_paper", "vsc_uai_code")
X = make_images(6, SMALL) / 255


def make_model(kind: str, **changes: Any) -> tuple[Autoencoder, PseudoInputLatent]:
    """A model whose encoder tells images and pseudo-inputs well apart."""
    model = build_model(make_settings(kind, **{"num_pseudo_inputs": 3, "gamma_link": "sigmoid"} | changes), SMALL)
    assert isinstance(model.latent, PseudoInputLatent)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith("encoder"):
                parameter.mul_(3)
        model.latent.selector_weight.mul_(3)
    return model, model.latent


def estimate(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard error over the first dimension."""
    return values.mean(0), values.std(0) / math.sqrt(len(values))


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_of_one_pseudo_input_the_rate_is_the_kl_that_monte_carlo_finds(kind: str) -> None:
    model, _ = make_model(kind, num_pseudo_inputs=1)
    q = model.posterior(X)
    z = model.draw(expand(q, 40_000), make_noise(1))
    mean, error = estimate(-model.compute_log_ratio(q, z))
    rate = model.compute_rate(q, X)
    assert (rate > 0.1).all(), "there is something to find"
    assert ((rate - mean).abs() < 4.5 * error).all()


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_of_several_the_rate_is_no_less_than_the_kl_to_their_mixture_and_no_more_than_of_the_nearest(kind: str) -> None:
    model, latent = make_model(kind)
    q = model.posterior(X)
    mean, error = estimate(-model.compute_log_ratio(q, model.draw(expand(q, 40_000), make_noise(1))))
    rate = model.compute_rate(q, X)
    assert (rate > mean - 4.5 * error).all()
    assert isinstance(q, SpikeAndSlab)
    each = expand(q, 3)
    p = latent.encode_pseudo_inputs(model.encode)
    assert isinstance(each, SpikeAndSlab)
    of_each = compute_kl(each, SpikeAndSlab(*(t[:, None] for t in (p.slab_prob, p.loc, p.scale)))).sum(-1)  # (3, B)
    assert (rate <= of_each.amin(0) + math.log(3) + 1e-4).all()


@pytest.mark.parametrize("kind", KINDS)
def test_bounds_stand_in_order(kind: str) -> None:
    model, _ = make_model(kind)
    images = make_images(40, SMALL)
    bound = compute_bound(model, images, make_generator(0), num_samples=50)
    assert -float(bound.rate + bound.distortion) < compute_iw_bound(model, images, make_generator(0), num_samples=200)


@torch.no_grad()
def test_the_training_rate_is_the_kl_weighed_by_the_selector() -> None:
    model, latent = make_model("vsc_uai_code", kl_from="logits")
    q, at = model.posterior(X), At(torch.tensor(100.0), 3)
    assert isinstance(q, SpikeAndSlab)
    p, weights = latent.encode_pseudo_inputs(model.encode), latent.select(X)
    expected = torch.zeros(len(X))
    for u in range(3):
        of_one = SpikeAndSlab(p.slab_prob[u], p.loc[u], p.scale[u])
        expected += weights[:, u] * compute_kl(q, of_one).sum(-1)
    torch.testing.assert_close(model.compute_rate(q, X, at), expected, rtol=1e-4, atol=1e-4)


def test_pseudo_inputs_and_selector_start_as_glorots_and_by_the_seed() -> None:
    one, same, other = (
        build_model(make_settings("vsc_uai_paper", num_pseudo_inputs=40, seed=seed), (1, 6, 10)) for seed in (1, 1, 2)
    )
    bound = math.sqrt(6 / (40 + 60))
    for name in ("pseudo_inputs", "selector_weight"):
        drawn, again, others = (model.latent.get_parameter(name) for model in (one, same, other))
        assert 0.99 * bound < drawn.abs().max() <= bound
        assert torch.equal(drawn, again)
        assert not torch.equal(drawn, others)
    assert (one.latent.get_parameter("selector_bias") == 0).all()


@torch.no_grad()
def test_a_soft_selector_weighs_by_its_outputs_over_their_mean_as_in_the_code() -> None:
    _, latent = make_model("vsc_uai_code")
    outputs = torch.sigmoid(X.flatten(1) @ latent.selector_weight.T + latent.selector_bias)
    normed = outputs / outputs.norm(dim=1, keepdim=True)
    torch.testing.assert_close(latent.select(X), normed / normed.mean(1, keepdim=True) / 3)
    torch.testing.assert_close(latent.select(X).sum(1), torch.ones(len(X)))


@torch.no_grad()
def test_a_sharpened_selector_takes_what_has_more_than_half_and_nothing_where_none_has() -> None:
    _, latent = make_model("vsc_uai_paper")
    latent.selector_weight.zero_()
    latent.selector_bias.copy_(torch.tensor([8.0, 1.0, 1.0]))
    torch.testing.assert_close(latent.select(X[:1]), torch.tensor([[1.0, 0.0, 0.0]]), rtol=0, atol=1e-6)
    latent.selector_bias.copy_(torch.tensor([1.0, 1.0, -5.0]))
    torch.testing.assert_close(latent.select(X[:1]), torch.tensor([[0.5, 0.5, 0.0]]), rtol=0, atol=1e-4)
    latent.selector_bias.copy_(torch.tensor([1.0, 1.0, 1.0]))
    assert latent.select(X[:1]).sum() < 1e-3, "the published selector pays for no KL here: what is measured does"
    latent.selector = "normalised"
    torch.testing.assert_close(latent.select(X[:1]), torch.full((1, 3), 1 / 3))


@pytest.mark.parametrize("sparsity_of", ["each", "mixture"])
@torch.no_grad()
def test_the_sparsity_term_is_zero_at_alpha_and_else_as_written(sparsity_of: str) -> None:
    model, latent = make_model("vsc_uai_paper", sparsity_of=sparsity_of, selector="soft", alpha=0.2)
    weights, gammas = latent.select(X), latent.encode_pseudo_inputs(model.encode).slab_prob
    means = gammas.double().mean(1)  # (3,)

    def kl(g: Tensor) -> Tensor:
        return g * (g / 0.2).log() + (1 - g) * ((1 - g) / 0.8).log()

    expected = 3 * (weights.double() @ kl(means) if sparsity_of == "each" else kl(weights.double() @ means))
    torch.testing.assert_close(latent.compute_sparsity(X, model.encode).double(), expected, rtol=1e-4, atol=1e-5)
    for parameter in model.encoder.parameters():
        parameter.zero_()
    last = list(model.encoder.parameters())[-1]
    last[6:] = math.log(0.2 / 0.8)  # the gammas of all images, sigmoid of this
    torch.testing.assert_close(latent.compute_sparsity(X, model.encode), torch.zeros(len(X)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("sparsity_of", ["each", "mixture"])
@torch.no_grad()
def test_in_bf16_the_sparsity_of_gammas_near_1_is_that_of_float32(sparsity_of: str) -> None:
    model, latent = make_model("vsc_uai_paper", sparsity_of=sparsity_of, selector="soft", alpha=0.2)
    for parameter in model.encoder.parameters():
        parameter.zero_()
    list(model.encoder.parameters())[-1][6:] = 8.0  # the gammas of all images: 0.9997, in bf16 1
    expected = latent.compute_sparsity(X, model.encode)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert latent.select(X).dtype == torch.float32
        torch.testing.assert_close(latent.compute_sparsity(X, model.encode), expected)


@torch.no_grad()
def test_gammas_of_pseudo_inputs_are_as_encoded_or_sharpened_around_a_half() -> None:
    model, latent = make_model("vsc_uai_paper")
    encoded = latent.encode_pseudo_inputs(model.encode).slab_prob
    latent.pseudo_gammas = "sharpened"
    sharpened = latent.encode_pseudo_inputs(model.encode).slab_prob
    torch.testing.assert_close(sharpened, torch.sigmoid(10 * (encoded - 0.5)))
    assert sharpened.min() > 0.0066
    assert sharpened.max() < 0.9934


class TestWarmUp:
    def test_lambda_is_0_then_rises_then_is_1(self) -> None:
        _, paper = make_model("vsc_uai_paper", warm_up_from=10, warm_up_to=20)
        assert [paper.compute_lambda(step) for step in (0, 10, 15, 20, 99)] == [0.0, 0.0, 0.5, 1.0, 1.0]

    def test_in_the_code_it_ends_one_step_early(self) -> None:
        _, code = make_model("vsc_uai_code", warm_up_from=10, warm_up_to=20)
        assert [code.compute_lambda(step) for step in (0, 10, 11, 19, 20, 99)] == [0.0, 0.0, 0.1, 0.9, 0.9, 0.9]

    @pytest.mark.parametrize("kind", KINDS)
    def test_without_a_warm_up_it_is_1(self, kind: str) -> None:
        _, latent = make_model(kind, warm_up_from=0, warm_up_to=0)
        assert latent.compute_lambda(0) == 1.0

    @pytest.mark.parametrize("kind", KINDS)
    @torch.no_grad()
    def test_at_0_the_slab_is_standard_normal_and_at_1_as_encoded(self, kind: str) -> None:
        model, latent = make_model(kind)
        q = model.posterior(X)
        assert isinstance(q, SpikeAndSlab)
        cold, warm = latent.cool_slab(q, 0.0), latent.cool_slab(q, 1.0)
        assert (cold.loc == 0).all()
        assert (cold.scale == 1).all()
        torch.testing.assert_close((warm.loc, warm.scale), (q.loc, q.scale), rtol=1e-5, atol=1e-6)
        assert torch.equal(cold.slab_prob, q.slab_prob)

    @torch.no_grad()
    def test_between_the_paper_mixes_variances_and_the_code_their_logarithms(self) -> None:
        q = SpikeAndSlab(torch.tensor(0.5), torch.tensor(2.0), torch.tensor(0.5))
        paper, code = (make_model(kind)[1].cool_slab(q, 0.25) for kind in KINDS)
        assert (paper.loc.item(), code.loc.item()) == (0.5, 0.5)
        assert paper.scale.item() ** 2 == pytest.approx(0.25 * 0.25 + 0.75)
        assert code.scale.item() ** 2 == pytest.approx(0.25**0.25)

    @pytest.mark.parametrize("kind", KINDS)
    def test_at_0_reconstruction_learns_spikes_alone_and_the_rate_all_of_the_posterior(self, kind: str) -> None:
        model, latent = make_model(kind)
        heads = model.encode(X).detach().requires_grad_()
        q, noise = latent.posterior(heads), make_noise(2)
        at = At(torch.tensor(50.0), 0)
        nats = latent.estimate_distortion(q, lambda z: model.compute_distortion(z, X), noise, at).sum()
        (by_distortion,) = torch.autograd.grad(nats, heads, retain_graph=True)
        assert (by_distortion[:, :2] == 0).all()
        assert (by_distortion[:, 2] != 0).any()
        (by_rate,) = torch.autograd.grad(latent.rate(q, X, model.encode, at).sum(), heads)
        assert (by_rate[:, 0] != 0).any()


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_samples_of_the_prior_come_from_every_pseudo_input_alike(kind: str) -> None:
    model, latent = make_model(kind)
    codes = model.draw_prior(60_000, make_noise(3))
    prior = model.prior()
    assert prior.batch_shape == (3,)
    mean, error = estimate(codes)
    assert ((mean - prior.mean).abs() < 4.5 * error).all()
    share = (codes != 0).double().mean(0)
    expected = latent.encode_pseudo_inputs(model.encode).slab_prob.mean(0)
    assert ((share - expected).abs() < 0.012).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_the_weighed_bound_and_the_sparsity_term(kind: str) -> None:
    settings = make_settings(kind, beta=2.0)
    model, objective = build_model(settings, SMALL), build_objective(settings)
    terms = objective.terms(model, X, CounterNoise(torch.arange(len(X))), At(torch.tensor(50.0), 9))
    assert (terms.added["sparsity"] >= 0).all()
    expected = (2 * terms.rate + terms.distortion + terms.added["sparsity"]).sum()
    torch.testing.assert_close(objective.loss(terms), expected)
