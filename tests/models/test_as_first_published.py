"""The VSC as first published: what its models are set to, how they train, and where they end in a VAE."""

from typing import Any

import pytest
import torch
from torch import Tensor

from models.build import build_model
from models.latents.pseudo_inputs import PseudoInputLatent
from models.networks.counting import count_parameters
from models.objectives.elbo import WeightedElbo
from models.randomness import CounterNoise
from models.settings import TrialSettings
from models.training.autograd_trainer import AutogradTrainer
from models.training.make_trainer import make_trainer
from models.training.sharpness import compute_sharpness
from models.training.stacked.stack import Stack
from models.training.state import TrainState, init_state
from models.training.trainer import EpochMetrics, Member
from tests.models.cases import SMALL, assert_same_tensors, at, copy_tensors, make_images, make_settings, train

IMAGES = make_images(70, SMALL)  # three steps an epoch
UAI = ("vsc_uai_paper", "vsc_uai_code")


def test_an_iclr_model_is_a_vsc_whose_sharpness_rises_to_200() -> None:
    settings = make_settings("vsc_iclr")
    steps = compute_sharpness(settings, torch.arange(9), 3)
    assert (steps[0], steps[-1]) == (50, 200)
    same = make_settings("vsc_exp_relu", sharpness_schedule="ramp")
    assert isinstance(make_trainer(settings, SMALL, latent_dim=3), Stack)
    (one, of_one), (other, of_other) = (train(each, IMAGES) for each in (settings, same))
    assert [epoch.loss for epoch in of_one] == [epoch.loss for epoch in of_other]
    assert_same_tensors(one.tensors(), other.tensors())


def test_paper_and_code_differ_in_settings_that_can_be_given_to_either() -> None:
    given = {"latent_dim": 2, "alpha": 0.01}
    paper, code = (TrialSettings(model=model, **given) for model in UAI)
    differing = {
        **{"sharpness": (50.0, 100.0), "sharpness_schedule": ("ramp", "constant"), "num_pseudo_inputs": (20, 10)},
        **{"selector": ("sharpened", "soft"), "pseudo_gammas": ("encoded", "sharpened")},
        **{"sparsity_of": ("each", "mixture"), "warm_up": ("variance", "log_variance")},
        **{"warm_up_from": (15_000, 45_000), "warm_up_to": (20_000, 50_000), "drop_after": (20_000, 45_000)},
        **{"drop_moments": ("kept", "fresh"), "batch_order": ("shuffled", "sequential")},
    }
    found = {name: (getattr(paper, name), getattr(code, name)) for name in paper.to_dict()}
    assert {name: pair for name, pair in found.items() if pair[0] != pair[1]} == {"model": UAI, **differing}
    swapped = TrialSettings(
        model="vsc_uai_paper", **given, **{name: of_code for name, (_, of_code) in differing.items()}
    )
    assert swapped.to_dict() == code.to_dict() | {"model": "vsc_uai_paper"}


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"warm_up_from": 9, "warm_up_to": 8}, "warm_up_to: before warm_up_from, 9; give as many steps at least"),
        (
            {"warm_up": "log_variance", "warm_up_from": 9, "warm_up_to": 10},
            "warm_up_to: over a single step lambda stays at 0 with warm_up: log_variance; "
            "give 11 at least, or warm_up_from: 10 to rise at once",
        ),
        ({"randomness": "report"}, "randomness: the reproduction has no pseudo-inputs; set randomness: counter"),
    ],
)
def test_what_does_not_go_together_is_refused(changes: dict[str, Any], refusal: str) -> None:
    with pytest.raises(ValueError, match=f"^{refusal}"):
        make_settings("vsc_uai_paper", **changes)


@pytest.mark.parametrize("warm_up", [(9, 11), (10, 10)])
def test_what_such_a_refusal_advises_is_taken_and_lambda_rises(warm_up: tuple[int, int]) -> None:
    settings = make_settings("vsc_uai_code", warm_up_from=warm_up[0], warm_up_to=warm_up[1])
    latent = build_model(settings, SMALL).latent
    assert isinstance(latent, PseudoInputLatent)
    assert latent.compute_lambda(9) == 0
    assert latent.compute_lambda(10) > 0


@pytest.mark.parametrize("kind", UAI)
def test_parameters_of_the_prior_are_counted(kind: str) -> None:
    settings = make_settings(kind)
    model = build_model(settings, SMALL, is_drawn=False)
    num_pseudo_inputs = 20 if kind == "vsc_uai_paper" else 10
    assert model.latent.get_parameter("pseudo_inputs").shape == (num_pseudo_inputs, 20)
    assert count_parameters(settings, SMALL) == sum(p.numel() for p in model.parameters())


def begin(settings: TrialSettings) -> AutogradTrainer:
    trainer = make_trainer(settings, SMALL, latent_dim=3)
    assert isinstance(trainer, AutogradTrainer), "its gradients are not written out"
    trainer.add(settings, init_state(settings, SMALL).tensors(), epoch=0, step=0)
    return trainer


def take(trainer: AutogradTrainer) -> TrainState:
    (member,) = trainer.members
    state = init_state(member.settings, SMALL, is_drawn=False)
    trainer.store(0, state.tensors())
    state.epoch, state.step = member.epoch, member.step
    return state


@pytest.mark.parametrize("kind", UAI)
def test_stopped_and_resumed_equals_uninterrupted_over_warm_up_and_drop(kind: str) -> None:
    settings = make_settings(kind)
    whole, first = begin(settings), begin(settings)
    outcomes = [whole.fit_epoch(IMAGES)[0] for _ in range(3)]
    first.fit_epoch(IMAGES)
    stored = take(first)
    second = AutogradTrainer(settings, SMALL)
    second.add(settings, copy_tensors(stored), epoch=stored.epoch, step=stored.step)
    again = [second.fit_epoch(IMAGES)[0] for _ in range(2)]
    for one, other in zip(again, outcomes[1:], strict=True):
        assert isinstance(one, EpochMetrics)
        assert isinstance(other, EpochMetrics)
        assert (one.loss, one.added) == (other.loss, other.added)
    assert_same_tensors(take(second).tensors(), take(whole).tensors())
    start = init_state(settings, SMALL).tensors()
    still = [name for name, tensor in take(whole).tensors().items() if torch.equal(tensor, start[name])]
    assert still == [], "gradients reach every parameter"


@pytest.mark.parametrize("moments", ["kept", "fresh"])
def test_after_the_drop_steps_are_a_tenth_and_a_second_adam_begins_anew(moments: str) -> None:
    settings = make_settings("vsc_uai_paper", drop_after=3, drop_moments=moments, learning_rate=1e-3)
    trainer = begin(settings)
    trainer.fit_epoch(IMAGES)
    before = copy_tensors(take(trainer))
    trainer.fit_epoch(IMAGES[:32])  # one step
    after = take(trainer).tensors()
    bias = "model.decoder.layers.1.bias"
    moved = (after[bias] - before[bias]).abs()
    assert moved.max() < 1.5e-4
    if moments == "fresh":  # the first step of an Adam is as long as its learning rate
        torch.testing.assert_close(moved, torch.full_like(moved, 1e-4), rtol=1e-2, atol=1e-6)
        gradient = after[f"adam.{bias.removeprefix('model.')}.exp_avg"] / (1 - 0.9)
        square = after[f"adam.{bias.removeprefix('model.')}.exp_avg_sq"] / (1 - 0.999)
        torch.testing.assert_close(square, gradient.square(), rtol=1e-3, atol=1e-9)


def test_in_the_order_of_the_dataset_an_epoch_goes_on_where_the_last_ended() -> None:
    settings = make_settings("vsc_uai_code", images_per_epoch=40)
    assert Member(settings, epoch=0, step=0).shuffle(70, 20).tolist() == list(range(40))
    assert Member(settings, epoch=1, step=2).shuffle(70, 20).tolist() == [*range(40, 70), *range(10)]


@pytest.mark.parametrize("estimator", ["straight_through", "disarm"])
def test_a_vsc_of_alpha_1_whose_gates_are_open_is_the_vae(estimator: str) -> None:
    """Its loss and its gradients, where gates are hard; relaxed ones are never quite open."""
    vae = build_model(make_settings("vae"), SMALL)
    vsc = build_model(make_settings("vsc_exp_relu", alpha=1 - 1e-6, estimator=estimator, kl_from="logits"), SMALL)
    with torch.no_grad():
        for of_vsc, of_vae in zip(vsc.parameters(), vae.parameters(), strict=True):
            of_vsc[tuple(map(slice, of_vae.shape))] = of_vae
        weight, bias = list(vsc.encoder.parameters())[-2:]
        weight[6:], bias[6:] = 0.0, 50.0  # exp(-relu(-50)) is 1
    x = make_images(8, SMALL, seed=1) / 255
    losses, gradients = [], []
    for model in (vae, vsc):
        objective = WeightedElbo(1.0)
        loss = objective.loss(objective.terms(model, x, CounterNoise(torch.arange(8)), at(50.0)))
        losses.append(loss.item())
        gradients.append(torch.autograd.grad(loss, list(model.parameters())))
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    for of_vae, of_vsc in zip(*gradients, strict=True):
        shared: Tensor = of_vsc[tuple(map(slice, of_vae.shape))]
        torch.testing.assert_close(shared, of_vae, rtol=1e-3, atol=1e-4)
