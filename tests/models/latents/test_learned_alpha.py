"""A learned alpha: what its gradient is, where training draws it to, and how it is stored and told."""

import math

import pytest
import torch

from models.build import build_model
from models.latents.learned_alpha import LearnedAlphaLatent
from models.measures.bounds import compute_bound, compute_iw_bound
from models.networks.counting import count_parameters
from models.training.make_trainer import make_trainer
from models.training.stacked.stack import Stack
from models.training.state import init_state
from tests.models.cases import (
    SMALL,
    assert_same_tensors,
    at,
    copy_tensors,
    make_generator,
    make_images,
    make_noise,
    make_settings,
    train,
)
from tests.models.training.conformance import check_resumed_equals_uninterrupted, make_autograd

KIND = "vsc_learned_alpha"
IMAGES = make_images(40, SMALL)


def test_at_its_start_it_is_the_vsc_of_that_alpha() -> None:
    learned, fixed = (build_model(make_settings(kind), SMALL) for kind in (KIND, "vsc_sigmoid"))
    x = IMAGES / 255
    (rate, distortion), expected = (model.compute_elbo(x, make_noise(0)) for model in (learned, fixed))
    torch.testing.assert_close(rate, expected.rate, rtol=1e-5, atol=1e-6)
    assert torch.equal(distortion, expected.distortion)
    assert learned.latent.list_learned()["alpha"].item() == pytest.approx(0.3)


@pytest.mark.parametrize("kl_from", ["gamma", "logits"])
def test_the_gradient_by_the_logit_is_alpha_less_gamma_summed_over_latents(kl_from: str) -> None:
    model = build_model(make_settings(KIND, kl_from=kl_from), SMALL)
    x = IMAGES / 255
    q = model.posterior(x)
    rate = model.compute_rate(q, x, at(50.0)).sum()
    (gradient,) = torch.autograd.grad(rate, [model.latent.get_parameter("alpha_logit")])
    expected = (0.3 - model.latent.slab_prob(q)).sum()
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-4)


def test_training_draws_alpha_to_the_mean_gamma_and_says_where_it_is() -> None:
    settings = make_settings(KIND, alpha=0.05, epochs=60, learning_rate=0.02, batch_size=10)
    patterns = make_images(4, SMALL).gt(127).repeat(10, 1, 1, 1).byte() * 255  # worth telling apart
    state, epochs = train(settings, patterns)
    assert isinstance(state.model.latent, LearnedAlphaLatent)
    alpha = state.model.latent.list_learned()["alpha"].item()
    gamma = state.model.latent.slab_prob(state.model.posterior(patterns / 255)).mean().item()
    assert epochs[-1].added == {"alpha": alpha}
    assert alpha > 0.2, "it moved"
    assert abs(math.log(alpha / (1 - alpha)) - math.log(gamma / (1 - gamma))) < 0.3


def test_bounds_stand_in_order_and_use_the_alpha_of_now() -> None:
    model = build_model(make_settings(KIND), SMALL)
    with torch.no_grad():
        model.latent.get_parameter("alpha_logit").fill_(1.0)
    bound = compute_bound(model, IMAGES, make_generator(0), num_samples=20)
    assert -float(bound.rate + bound.distortion) < compute_iw_bound(model, IMAGES, make_generator(0), num_samples=200)
    assert (model.draw_prior(4000, make_noise(0)) != 0).float().mean().item() == pytest.approx(0.731, abs=0.02)


def test_its_parameter_is_counted_and_stored_and_no_stack_trains_it() -> None:
    settings = make_settings(KIND)
    state = init_state(settings, SMALL)
    assert count_parameters(settings, SMALL) == sum(p.numel() for p in state.model.parameters())
    assert "model.latent.alpha_logit" in state.tensors()
    assert not isinstance(make_trainer(settings, SMALL, latent_dim=3), Stack)


def test_stopped_and_resumed_equals_uninterrupted() -> None:
    check_resumed_equals_uninterrupted(make_autograd, make_settings(KIND))
    restored = init_state(make_settings(KIND, alpha=0.9), SMALL)
    trained, _ = train(make_settings(KIND, epochs=1), IMAGES)
    restored.load(copy_tensors(trained), epoch=1, step=2)
    assert_same_tensors(restored.tensors(), trained.tensors())
    assert restored.model.latent.list_learned() == trained.model.latent.list_learned()
