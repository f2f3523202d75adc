"""FactorVAE: the discriminator, its codes, and that neither trains the other."""

import pytest
import torch

from models.latents.latent import At
from models.objectives.factor import Discriminator, FactorElbo, shuffle
from models.training.state import TrainState, init_state
from models.training.trainer import EpochMetrics
from tests.models.cases import SMALL, make_generator, make_images, make_noise, make_settings
from tests.models.training.conformance import IMAGES, begin, make_autograd, take

AT = At(torch.tensor(50.0))


@pytest.fixture(params=["factor_vae", "factor_vsc"])
def state(request: pytest.FixtureRequest) -> TrainState:
    return init_state(make_settings(request.param), SMALL)


def read(state: TrainState, seed: int) -> torch.Tensor:
    return state.model.to_pixels(make_images(16, SMALL, seed))


def objective_of(state: TrainState) -> FactorElbo:
    assert isinstance(state.objective, FactorElbo)
    return state.objective


def test_the_discriminator_has_the_parameters_of_six_layers_of_a_thousand_and_two_logits() -> None:
    discriminator = Discriminator(10, 1000, make_generator(0))
    assert sum(p.numel() for p in discriminator.parameters()) == 5_018_002


def test_the_discriminator_is_the_plain_network_of_its_description() -> None:
    discriminator = Discriminator(3, 8, make_generator(0))
    layers: list[torch.nn.Module] = []
    for layer in [*discriminator.hidden, discriminator.last]:
        layers += [layer, torch.nn.LeakyReLU(0.2)]
    z = torch.randn(5, 3, generator=make_generator(1))
    torch.testing.assert_close(discriminator(z), torch.nn.Sequential(*layers[:-1])(z))
    assert len(discriminator.hidden) == 6


def test_the_losses_gradients_do_not_mix(state: TrainState) -> None:
    """Each loss, backward to every parameter there is: what the trainer takes of it is the other's own."""
    objective = objective_of(state)
    loss = objective.adversary_loss(state.model, read(state, 1), read(state, 2), make_noise(0), AT)
    loss.backward()
    assert [name for name, p in state.model.named_parameters() if p.grad is not None] == []
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in objective.parameters())
    objective.zero_grad()
    objective.loss(objective.terms(state.model, read(state, 1), make_noise(0), AT)).backward()
    assert all(p.grad is not None for p in state.model.parameters())
    assert [name for name, p in objective.named_parameters() if p.grad is not None] == []


def test_the_models_step_leaves_the_discriminator_alone_and_the_discriminators_the_model() -> None:
    """A weight of zero on the total correlation: the discriminator trains as before, and the model is the same."""
    stepped = {}
    for weight in (0.0, 10.0):
        settings = make_settings("factor_vae", tc_weight=weight, batch_size=len(IMAGES), learning_rate=0.01)
        trainer = make_autograd(settings)
        begin(trainer, settings)
        trainer.fit_epoch(IMAGES)
        stepped[weight] = take(trainer).tensors()
    of_discriminator = [name for name in stepped[0.0] if "discriminator" in name]
    assert len(of_discriminator) == 3 * 14  # weights and biases of seven layers, with Adam's two moments
    for name in of_discriminator:  # one step: the loss of the model has not reached it
        assert torch.equal(stepped[0.0][name], stepped[10.0][name]), name
    assert not torch.equal(
        stepped[0.0]["model.encoder.layers.0.weight"], stepped[10.0]["model.encoder.layers.0.weight"]
    )


def test_the_discriminator_steps_with_its_own_adam() -> None:
    settings = make_settings("factor_vae", batch_size=len(IMAGES), learning_rate=0.01)
    state = init_state(settings, SMALL)
    trainer = make_autograd(settings)
    trainer.add(settings, state.tensors(), epoch=0, step=0)
    trainer.fit_epoch(IMAGES)
    after = take(trainer).tensors()
    name = "discriminator.last.bias"
    moved = (after[f"objective.{name}"] - state.tensors()[f"objective.{name}"]).abs()
    torch.testing.assert_close(moved, torch.full((2,), 1e-4), rtol=1e-2, atol=0)  # Adam's first step is its size
    first, second = (after[f"adam.objective.{name}.{moment}"] for moment in ("exp_avg", "exp_avg_sq"))
    torch.testing.assert_close(first.square() / 0.25, second / 0.1)  # betas .5 and .9: (1 - .5)^2 g^2, (1 - .9) g^2


def test_the_discriminators_loss_is_half_the_cross_entropy_of_each_kind(state: TrainState) -> None:
    objective = objective_of(state)
    x, others = read(state, 1), read(state, 2)
    loss = objective.adversary_loss(state.model, x, others, make_noise(0), AT)
    noise = make_noise(0)
    with torch.no_grad():
        codes = state.model.draw(state.model.posterior(x), noise, AT)
        shuffled = shuffle(state.model.draw(state.model.posterior(others), noise, AT), noise)
    expected = sum(
        -objective.discriminator(z).log_softmax(1)[:, kind].mean() / 2 for kind, z in enumerate((codes, shuffled))
    )
    torch.testing.assert_close(loss, expected)


def test_shuffling_keeps_each_latents_values_and_breaks_their_pairs() -> None:
    z = torch.arange(200.0)[:, None].repeat(1, 3)
    shuffled = shuffle(z, make_noise(0))
    torch.testing.assert_close(shuffled.sort(0).values, z)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert torch.corrcoef(shuffled[:, [one, other]].T)[0, 1].abs() < 0.25  # of 200 pairs: 3.5 standard deviations


def test_the_total_correlation_is_the_logit_of_a_code_less_that_of_a_shuffled_one(state: TrainState) -> None:
    objective = objective_of(state)
    with torch.no_grad():
        objective.discriminator.last.weight.zero_()
        objective.discriminator.last.bias.copy_(torch.tensor([2.0, 0.5]))
    terms = objective.terms(state.model, read(state, 1), make_noise(0), AT)
    assert terms.added["total_correlation"].tolist() == [1.5] * 16
    plain = (terms.rate + terms.distortion).sum()
    torch.testing.assert_close(objective.loss(terms), plain + 10 * 16 * 1.5)


def test_second_batches_are_of_another_order_and_the_epochs_metrics_hold_the_total_correlation() -> None:
    settings = make_settings("factor_vae")
    trainer = make_autograd(settings)
    begin(trainer, settings)
    (member,) = trainer.members
    first, second = member.shuffle(70, 20), member.shuffle_second_batches(70)
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(70))
    assert not torch.equal(first, second)
    (metrics,) = trainer.fit_epoch(IMAGES)
    assert isinstance(metrics, EpochMetrics)
    weighted = metrics.rate + metrics.distortion + 10 * metrics.added["total_correlation"]
    assert metrics.loss == pytest.approx(weighted, rel=1e-6)
    assert not torch.equal(member.shuffle_second_batches(70), second)  # the next epoch's
