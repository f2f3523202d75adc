"""What every model keeps to, whatever its kind, its widths and its number of latents."""

import math

import pytest
import torch
from torch import Tensor

from models.autoencoder import Autoencoder
from models.build import build_model
from models.latents.gaussian import GaussianLatent
from models.latents.latent import At
from models.latents.spike_and_slab import SpikeAndSlabLatent
from models.latents.spike_and_slab_distribution import SpikeAndSlab
from models.pixels import to_pixels
from models.settings import TrialSettings
from models.training.fit import fit
from models.training.state import TrainState, init_state
from tests.models.cases import (
    KINDS,
    SMALL,
    at,
    copy_tensors,
    expand,
    make_generator,
    make_images,
    make_noise,
    make_settings,
)

NUM_IMAGES = 9

STEPS = (None, at(50.0))

CASES = [
    make_settings(kind, hidden=hidden, latent_dim=latent_dim, epochs=1, batch_size=4)
    for kind in KINDS
    for hidden in ((16,), (16, 8))
    for latent_dim in (1, 3)
]


def describe(settings: TrialSettings) -> str:
    widths = "x".join(map(str, settings.hidden))
    return "-".join(filter(None, (settings.model, settings.gamma_link, widths, str(settings.latent_dim))))


@pytest.fixture(params=CASES, ids=describe)
def settings(request: pytest.FixtureRequest) -> TrialSettings:
    case: TrialSettings = request.param
    return case


@pytest.fixture
def model(settings: TrialSettings) -> Autoencoder:
    return build_model(settings, SMALL)


@pytest.fixture
def x() -> Tensor:
    return to_pixels(make_images(NUM_IMAGES, SMALL))


class TestEveryModel:
    def test_shapes_are_those_of_the_contract(self, model: Autoencoder, settings: TrialSettings, x: Tensor) -> None:
        codes = (NUM_IMAGES, settings.latent_dim)
        q = model.posterior(x)
        assert model.latent_dim == settings.latent_dim
        assert q.batch_shape == codes
        assert q.event_shape == ()
        assert model.prior().batch_shape == (settings.latent_dim,)
        assert model.latent.slab_prob(q).shape == codes
        for step in (None, at(50.0)):
            assert model.draw(q, make_noise(0), step).shape == codes
            z = model.draw(expand(q, 2, 5), make_noise(0), step)
            assert z.shape == (2, 5, *codes)
            assert model.decode(z).shape == (2, 5, NUM_IMAGES, *SMALL)
            assert model.compute_distortion(z, x).shape == (2, 5, NUM_IMAGES)
            elbo = model.compute_elbo(x, make_noise(0), step)
            assert elbo.rate.shape == elbo.distortion.shape == (NUM_IMAGES,)

    @pytest.mark.parametrize("step", STEPS)
    def test_rate_and_distortion_are_finite_and_not_negative(
        self, model: Autoencoder, x: Tensor, step: At | None
    ) -> None:
        elbo = model.compute_elbo(x, make_noise(0), step)
        assert all(term.isfinite().all() for term in elbo)
        assert all((term > 0).all() for term in elbo)

    def test_distortion_is_the_cross_entropy_summed_over_pixels(self, model: Autoencoder, x: Tensor) -> None:
        z = torch.randn(3, NUM_IMAGES, model.latent_dim, generator=make_generator(1))
        distortion = model.compute_distortion(z, x)
        p = model.decoder(z).double().sigmoid()
        expected = -(x * p.log() + (1 - x) * (1 - p).log()).sum((-3, -2, -1))
        torch.testing.assert_close(distortion.double(), expected, rtol=1e-5, atol=1e-5)

    def test_the_bound_of_an_image_does_not_depend_on_the_others(self, model: Autoencoder, x: Tensor) -> None:
        q, q_alone = model.posterior(x), model.posterior(x[:1])
        rate, rate_alone = model.compute_rate(q, x), model.compute_rate(q_alone, x[:1])
        torch.testing.assert_close(rate[:1], rate_alone, rtol=1e-5, atol=1e-6)
        z = model.draw(q, make_noise(2))
        torch.testing.assert_close(model.compute_distortion(z, x)[:1], model.compute_distortion(z[:1], x[:1]))

    def test_gradients_reach_every_parameter(self, model: Autoencoder, x: Tensor) -> None:
        elbo = model.compute_elbo(x, make_noise(0), at(50.0))
        gradients = torch.autograd.grad((elbo.rate + elbo.distortion).mean(), list(model.parameters()))
        for (name, _), gradient in zip(model.named_parameters(), gradients, strict=True):
            assert gradient.isfinite().all(), name
            assert (gradient != 0).any(), name

    @pytest.mark.parametrize("step", STEPS)
    def test_the_same_noise_gives_the_same_bound(self, model: Autoencoder, x: Tensor, step: At | None) -> None:
        one, same, other = (model.compute_elbo(x, make_noise(seed), step).distortion for seed in (1, 1, 2))
        assert torch.equal(one, same)
        assert not torch.equal(one, other)

    def test_a_code_is_not_zero_as_often_as_slab_prob_says(self, model: Autoencoder, x: Tensor) -> None:
        q = model.posterior(x)
        nonzero = (model.draw(expand(q, 4000), make_noise(3)) != 0).float().mean(0)
        gamma = model.latent.slab_prob(q)
        standard_error = (gamma * (1 - gamma) / 4000).sqrt()
        assert ((nonzero - gamma).abs() <= 4.5 * standard_error).all()

    def test_relaxed_samples_tend_to_hard_ones(self, model: Autoencoder, x: Tensor) -> None:
        q = model.posterior(x)
        hard, sharp = (model.draw(expand(q, 100), make_noise(4), step) for step in (None, at(1e12)))
        torch.testing.assert_close(sharp, hard)

    def test_a_stored_state_put_into_a_fresh_one_gives_identical_output(
        self, settings: TrialSettings, x: Tensor
    ) -> None:
        images = make_images(NUM_IMAGES, SMALL)
        trained = init_state(settings, SMALL)
        list(fit(trained, settings, images))
        stored = copy_tensors(trained)
        restored = init_state(make_settings_with_seed(settings, 99), SMALL)
        before = bound(restored, x)
        restored.load(stored, epoch=1, step=3)
        after = bound(restored, x)
        assert torch.equal(after, bound(trained, x))
        assert not torch.equal(after, before)
        assert (restored.epoch, restored.step) == (trained.epoch, trained.step) == (1, 3)

    def test_a_stored_state_holds_all_parameters_and_both_moments_of_each(self, settings: TrialSettings) -> None:
        state = init_state(settings, SMALL)
        expected = {
            name: p.shape
            for parameter, p in state.model.named_parameters()
            for name in (f"model.{parameter}", f"adam.{parameter}.exp_avg", f"adam.{parameter}.exp_avg_sq")
        }
        assert {name: t.shape for name, t in state.tensors().items()} == expected

    def test_the_state_of_another_model_is_refused_and_nothing_is_changed(self, settings: TrialSettings) -> None:
        state = init_state(settings, SMALL)
        before = copy_tensors(state)
        for other in (
            init_state(settings, (1, 3, 7)).tensors(),
            {name: t for name, t in before.items() if name != "adam.decoder.layers.0.bias.exp_avg"},
            before | {"model.extra": torch.zeros(1)},
        ):
            with pytest.raises(ValueError, match="another model"):
                state.load(other, epoch=1, step=1)
        assert all(torch.equal(before[name], t) for name, t in state.tensors().items())
        assert (state.epoch, state.step) == (0, 0)


def make_settings_with_seed(settings: TrialSettings, seed: int) -> TrialSettings:
    return TrialSettings(**(settings.to_dict() | {"seed": seed}))


def bound(state: TrainState, x: Tensor) -> Tensor:
    return torch.stack(state.model.compute_elbo(x, make_noise(5)))


class TestVae:
    def test_rate_is_the_gaussian_closed_form(self, x: Tensor) -> None:
        model = build_model(make_settings("vae", latent_dim=3), SMALL)
        loc, log_var = model.encoder(x).double().unbind(1)
        expected = 0.5 * (loc**2 + log_var.exp() - 1 - log_var).sum(-1)
        rate = model.compute_elbo(x, make_noise(0)).rate
        torch.testing.assert_close(rate.double(), expected, rtol=1e-5, atol=1e-6)

    def test_a_code_is_never_zero_and_its_relaxation_is_itself(self, x: Tensor) -> None:
        model = build_model(make_settings("vae", latent_dim=3), SMALL)
        q = model.posterior(x)
        assert (model.latent.slab_prob(q) == 1).all()
        hard, relaxed = (model.draw(q, make_noise(0), step) for step in STEPS)
        assert torch.equal(hard, relaxed)
        torch.testing.assert_close(
            hard, q.mean + q.stddev * torch.randn(NUM_IMAGES, 3, generator=make_generator(0)), rtol=0, atol=0
        )

    def test_the_prior_is_standard_normal(self) -> None:
        prior = build_model(make_settings("vae", latent_dim=3), SMALL).prior()
        assert prior.mean.tolist() == [0, 0, 0]
        assert prior.stddev.tolist() == [1, 1, 1]


class TestVsc:
    @pytest.mark.parametrize("alpha", [0.01, 0.2, 0.5, 0.99])
    @pytest.mark.parametrize("gamma_link", ["exp_relu", "sigmoid"])
    @pytest.mark.parametrize("spread", [1.0, 30.0])
    def test_rate_is_the_closed_form_of_the_paper(
        self, alpha: float, gamma_link: str, spread: float, x: Tensor
    ) -> None:
        model = build_model(make_settings("vsc_sigmoid", alpha=alpha, gamma_link=gamma_link, latent_dim=3), SMALL)
        with torch.no_grad():
            model.encoder.layers[-1].weight[6:] *= spread  # of v, so that gamma takes all values
        rate = model.compute_elbo(x, make_noise(0)).rate

        expected = []
        for loc, log_var, v in model.encoder(x).double():
            terms = []
            for m, lv, w in zip(loc.tolist(), log_var.tolist(), v.tolist(), strict=True):
                gamma = math.exp(-max(-w, 0)) if gamma_link == "exp_relu" else 1 / (1 + math.exp(-w))
                terms.append(gamma / 2 * (m**2 + math.exp(lv) - 1 - lv))
                both = ((gamma, alpha), (1 - gamma, 1 - alpha))
                terms += [g * math.log(g / a) for g, a in both if g > 0]  # 0 log 0 is 0
            expected.append(sum(terms))
        torch.testing.assert_close(rate.double(), torch.tensor(expected).double(), rtol=1e-4, atol=1e-5)

    def test_gamma_reaches_one_with_the_reports_link_and_not_with_the_sigmoid(self, x: Tensor) -> None:
        for kind, reaches in (("vsc_exp_relu", True), ("vsc_sigmoid", False)):
            model = build_model(make_settings(kind, latent_dim=8), SMALL)
            gamma = model.latent.slab_prob(model.posterior(x))
            assert (gamma == 1).any() == reaches
            assert ((gamma > 0) & (gamma <= 1)).all()

    def test_hard_codes_have_exact_zeros_and_relaxed_ones_leak(self, x: Tensor) -> None:
        model = build_model(make_settings("vsc_sigmoid"), SMALL)
        q = model.posterior(x)
        assert (model.draw(expand(q, 20), make_noise(0)) == 0).any()
        assert (model.draw(expand(q, 20), make_noise(0), at(50.0)) != 0).all()

    def test_the_prior_has_alpha_and_a_standard_slab(self) -> None:
        prior = build_model(make_settings("vsc_sigmoid", alpha=0.07), SMALL).prior()
        assert isinstance(prior, SpikeAndSlab)
        assert prior.slab_prob.tolist() == pytest.approx([0.07] * 3)
        assert prior.loc.tolist() == [0, 0, 0]
        assert prior.scale.tolist() == [1, 1, 1]

    def test_where_posterior_and_prior_agree_the_rate_is_zero(self, x: Tensor) -> None:
        model = build_model(make_settings("vsc_sigmoid", alpha=0.3, latent_dim=2), SMALL)
        last = model.encoder.layers[-1]
        with torch.no_grad():
            last.weight.zero_()
            last.bias.copy_(torch.tensor([0, 0, 0, 0, math.log(0.3 / 0.7), math.log(0.3 / 0.7)]))
        assert model.compute_elbo(x, make_noise(0)).rate.abs().max() < 1e-6


def test_the_settings_say_which_model_is_built() -> None:
    assert isinstance(build_model(make_settings("vae"), SMALL).latent, GaussianLatent)
    vsc = build_model(make_settings("vsc_sigmoid"), SMALL)
    assert isinstance(vsc.latent, SpikeAndSlabLatent)
    assert vsc.latent.gamma_link == "sigmoid"


def test_the_decoder_mirrors_the_encoder() -> None:
    model = build_model(make_settings("vsc_sigmoid", hidden=(16, 8), latent_dim=2), SMALL)
    widths = [[layer.in_features for layer in part.layers] for part in (model.encoder, model.decoder)]
    assert widths == [[20, 16, 8], [2, 8, 16]]
    assert [part.layers[-1].out_features for part in (model.encoder, model.decoder)] == [6, 20]


def test_every_seed_that_is_legal_builds_a_model() -> None:
    for seed in (0, 2**32, 2**63, 2**64, 10**30):
        build_model(make_settings("vae", seed=seed), SMALL)
