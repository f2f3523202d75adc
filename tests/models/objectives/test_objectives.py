"""What models with objectives beside the bound keep to, as every model does."""

import pytest
import torch

from models.build import build_model, build_objective
from models.measures.bounds import compute_bound, compute_loss
from models.settings import TrialSettings
from models.training.make_trainer import make_trainer
from models.training.stacked.stack import Stack
from tests.models.cases import OTHER_OBJECTIVES, SMALL, assert_same_tensors, make_generator, make_images, make_settings
from tests.models.training.conformance import (
    IMAGES,
    begin,
    check_neighbours_change_nothing,
    check_resumed_equals_uninterrupted,
    make_autograd,
    take,
)


@pytest.fixture(params=OTHER_OBJECTIVES)
def settings(request: pytest.FixtureRequest) -> TrialSettings:
    return make_settings(request.param, learning_rate=0.01)


def test_no_stack_trains_them(settings: TrialSettings) -> None:
    assert not isinstance(make_trainer(settings, SMALL, latent_dim=settings.latent_dim), Stack)


def test_stopped_and_resumed_equals_uninterrupted(settings: TrialSettings) -> None:
    check_resumed_equals_uninterrupted(make_autograd, settings)


def test_neighbours_that_come_and_go_change_nothing(settings: TrialSettings) -> None:
    check_neighbours_change_nothing(make_autograd, settings)


def test_training_lowers_the_loss(settings: TrialSettings) -> None:
    trainer = make_autograd(settings)
    begin(trainer, settings)
    metrics = [trainer.fit_epoch(IMAGES)[0] for _ in range(8)]
    assert metrics[-1].distortion < metrics[0].distortion  # type: ignore[union-attr]


def test_the_bound_that_is_reported_is_the_true_one_whatever_was_trained_on(settings: TrialSettings) -> None:
    """The same parameters as a plain model have the same bound."""
    trainer = make_autograd(settings)
    begin(trainer, settings)
    trainer.fit_epoch(IMAGES)
    state = take(trainer)
    plain = build_model(make_settings("vsc_exp_relu" if settings.alpha else "vae"), SMALL)
    plain.load_state_dict(state.model.state_dict())
    one, same = (compute_bound(model, IMAGES, make_generator(0)) for model in (state.model, plain))
    assert one == same


def train(settings: TrialSettings) -> dict[str, torch.Tensor]:
    trainer = make_autograd(settings)
    begin(trainer, settings)
    for _ in range(2):
        trainer.fit_epoch(IMAGES)
    return {name: tensor for name, tensor in take(trainer).tensors().items() if "objective" not in name}


@pytest.mark.parametrize(
    ("kind", "plain", "weight"),
    [
        ("beta_tcvae", "vae", {"beta": 1.0}),
        ("factor_vae", "vae", {"tc_weight": 0.0}),
        ("factor_vsc", "vsc_exp_relu", {"tc_weight": 0.0}),
    ],
)
def test_without_a_weight_it_is_the_plain_model_bit_for_bit(kind: str, plain: str, weight: dict[str, float]) -> None:
    trained = train(make_settings(kind, learning_rate=0.01, **weight))
    assert_same_tensors(trained, train(make_settings(plain, learning_rate=0.01)))
    assert trained.keys() == train(make_settings(kind, learning_rate=0.01)).keys()
    with pytest.raises(AssertionError):
        assert_same_tensors(trained, train(make_settings(kind, learning_rate=0.01)))


@pytest.mark.parametrize("kind", ["vae", "vsc_exp_relu"])
def test_a_beta_of_one_is_the_plain_model_bit_for_bit(kind: str) -> None:
    assert_same_tensors(train(make_settings(kind, beta=1.0)), train(make_settings(kind)))
    with pytest.raises(AssertionError):
        assert_same_tensors(train(make_settings(kind, beta=4.0)), train(make_settings(kind)))


def test_a_vsc_with_alpha_and_gamma_of_one_has_the_loss_of_a_vae() -> None:
    """Its gates open, the prior's spike gone: the rate is that of the Gaussians, up to log alpha."""
    images = make_images(20, SMALL)
    settings = make_settings("vsc_exp_relu", alpha=1 - 1e-6, kl_from="logits", latent_dim=3)
    vae, vsc = build_model(make_settings("vae", latent_dim=3), SMALL), build_model(settings, SMALL)
    heads = vae.state_dict() | {}
    own = vsc.state_dict()
    for name in own:
        if own[name].shape == heads[name].shape:
            own[name] = heads[name]
    for name in ("encoder.layers.1.weight", "encoder.layers.1.bias"):
        gate = torch.full_like(own[name][6:], 20.0 if name.endswith("bias") else 0.0)  # v of 20: gamma is 1
        own[name] = torch.cat([heads[name], gate])
    vsc.load_state_dict(own)
    losses = [
        compute_loss(model, build_objective(s), images, make_generator(0), sharpness=s.sharpness and 1e6)
        for model, s in ((vae, make_settings("vae", latent_dim=3)), (vsc, settings))
    ]
    assert losses[1] == pytest.approx(losses[0], abs=1e-3)
