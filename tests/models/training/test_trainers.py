"""What every trainer keeps to, for every model, and that the two of them train alike, on the device of the tests."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.autoencoder import Autoencoder
from models.choices import MODELS
from models.latents.latent import At
from models.numerics.onednn import has_bf16
from models.objectives.elbo import WeightedElbo
from models.objectives.objective import Terms
from models.pixels import binarise
from models.randomness import Noise
from models.settings import TrialSettings
from models.training.autograd_trainer import AutogradTrainer
from models.training.fit import fit
from models.training.make_trainer import make_trainer
from models.training.stacked.stack import Stack
from models.training.state import init_state
from models.training.trainer import DivergedError, EpochMetrics, Trainer, raise_failure
from tests.models.cases import (
    AS_FIRST_PUBLISHED,
    DEVICE,
    DIGITS,
    KINDS,
    OTHER_OBJECTIVES,
    OTHER_SPARSE,
    SMALL,
    assert_same_tensors,
    copy_tensors,
    get_loss,
    make_settings,
)
from tests.models.numerics.test_computing import count_denormals, flushing_nothing
from tests.models.training.conformance import (
    IMAGES,
    MakeTrainer,
    begin,
    check_alike_after_fifty_steps,
    check_neighbours_change_nothing,
    check_resumed_equals_uninterrupted,
    make_autograd,
    make_stack,
    take,
    with_changes,
)

TRAINERS = {"autograd": make_autograd, "stacked": make_stack}


@pytest.fixture(params=TRAINERS)
def make(request: pytest.FixtureRequest) -> MakeTrainer:
    return TRAINERS[request.param]


@pytest.fixture(params=KINDS)
def settings(request: pytest.FixtureRequest) -> TrialSettings:
    settings = make_settings(request.param, learning_rate=0.01)
    if settings.randomness == "report" and DEVICE.type != "cpu":
        pytest.skip("the report's numbers are drawn on the CPU")
    return settings


def test_every_model_that_is_registered_is_among_the_kinds_under_test() -> None:
    assert {kind["model"] for kind in (KINDS | OTHER_OBJECTIVES | AS_FIRST_PUBLISHED | OTHER_SPARSE).values()} == set(
        MODELS
    )


class TestEveryTrainer:
    def test_members_count_their_epochs_and_steps(self, make: MakeTrainer, settings: TrialSettings) -> None:
        trainer = make(settings)
        begin(trainer, settings)
        for epoch in (1, 2):
            (metrics,) = trainer.fit_epoch(IMAGES)
            assert isinstance(metrics, EpochMetrics)
            assert metrics.epoch == trainer.members[0].epoch == epoch
            assert trainer.members[0].step == 3 * epoch
            assert metrics.loss == pytest.approx(metrics.rate + metrics.distortion, rel=1e-6)
            assert (metrics.sharpness is None) == (settings.sharpness is None)
            assert metrics.seconds > 0

    def test_stopped_and_resumed_equals_uninterrupted(self, make: MakeTrainer, settings: TrialSettings) -> None:
        check_resumed_equals_uninterrupted(make, settings)

    def test_neighbours_that_come_and_go_change_nothing(self, make: MakeTrainer, settings: TrialSettings) -> None:
        check_neighbours_change_nothing(make, settings)

    def test_a_member_that_diverges_harms_no_other(self, make: MakeTrainer, settings: TrialSettings) -> None:
        alone, shared = make(settings, 1 if DEVICE.type == "cpu" else 2), make(settings, 2)
        begin(alone, settings)
        begin(shared, with_changes(settings, learning_rate=1e30))
        begin(shared, settings)
        error, outcome = shared.fit_epoch(IMAGES)
        assert isinstance(error, DivergedError)
        assert (error.epoch, error.step) == (1, 2)
        assert get_loss(outcome) == get_loss(alone.fit_epoch(IMAGES)[0])

    def test_its_initial_state_goes_in_and_comes_out_unchanged(
        self, make: MakeTrainer, settings: TrialSettings
    ) -> None:
        trainer = make(settings)
        state = init_state(settings, SMALL, DEVICE)
        before = copy_tensors(state)
        trainer.add(settings, state.tensors(), epoch=0, step=0)
        assert_same_tensors(take(trainer).tensors(), before)
        trainer.fit_epoch(IMAGES)
        assert_same_tensors(state.tensors(), before)

    def test_there_is_no_more_room_than_was_made(self, make: MakeTrainer, settings: TrialSettings) -> None:
        trainer = make(settings)
        begin(trainer, settings)
        with pytest.raises(ValueError, match="room"):
            begin(trainer, settings)
        trainer.resize(2)
        begin(trainer, settings)
        with pytest.raises(ValueError, match="2 members do not fit into 1 slots"):
            trainer.resize(1)

    @pytest.mark.skipif(DEVICE.type != "cpu", reason="processors are slow with denormals, GPUs are not")
    def test_without_a_flush_there_would_be_denormals(
        self, make: MakeTrainer, digits: Tensor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sparse = {"alpha": 0.01, "latent_dim": 40, "hidden": (32,), "batch_size": 8, "learning_rate": 0.01}
        settings = make_settings("vsc_exp_relu", **sparse)
        kinds: dict[str, Trainer] = {
            "autograd": AutogradTrainer(settings, DIGITS),
            "stacked": Stack(settings, DIGITS, settings.latent_dim),
        }
        trainer = kinds["autograd" if make is make_autograd else "stacked"]
        state = init_state(settings, DIGITS)
        found = []
        for path in (None, "models.training.autograd_trainer.computing", "models.training.stacked.stack.computing"):
            if path is not None:
                monkeypatch.setattr(path, flushing_nothing)
            trainer.add(settings, state.tensors(), epoch=0, step=0)
            for _ in range(5):
                trainer.fit_epoch(digits)
            found.append(count_denormals(take(trainer, 0, DIGITS).tensors()))
            trainer.remove(0)
        assert found[0] == 0
        assert max(found) > 100


@pytest.mark.parametrize("binarisation", ["static", "dynamic"])
class TestBinaryPixels:
    """They are a trial's own: resumed or among trials of other seeds, it has the bits that it has alone."""

    def test_stopped_and_resumed_equals_uninterrupted(self, make: MakeTrainer, binarisation: str) -> None:
        settings = make_settings("vsc_sigmoid", binarisation=binarisation, activation="tanh", seed=2)
        check_resumed_equals_uninterrupted(make, settings)

    def test_neighbours_that_come_and_go_change_nothing(self, make: MakeTrainer, binarisation: str) -> None:
        settings = make_settings("vae", binarisation=binarisation, learning_rate=0.01)
        check_neighbours_change_nothing(make, settings)

    def test_they_are_black_and_white_drawn_once_or_anew(
        self, make: MakeTrainer, binarisation: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[Tensor] = []
        module = "autograd_trainer" if make is make_autograd else "stacked.stack"

        def watch(pixels: Tensor, counters: Tensor) -> Tensor:
            seen.append(binarise(pixels, counters))
            return seen[-1]

        monkeypatch.setattr(f"models.training.{module}.binarise", watch)
        settings = make_settings("vae", binarisation=binarisation)
        trainer = make(settings)
        begin(trainer, settings)
        epochs = []
        for _ in range(2):
            seen.clear()
            trainer.fit_epoch(IMAGES)
            epochs.append(torch.cat([pixels.flatten(0, -2) for pixels in seen]))
        assert all(pixels.shape == (70, 20) and set(pixels.unique().tolist()) == {0.0, 1.0} for pixels in epochs)
        first, second = (sorted(map(tuple, pixels.tolist())) for pixels in epochs)  # in whatever order
        assert (first == second) == (binarisation == "static")


class TestBothTrainersAlike:
    """Where both train a model, they see the same noise and come to the same parameters."""

    @pytest.mark.parametrize("hidden", [(16,), (16, 8)])
    @pytest.mark.parametrize(
        "changes",
        [{}, {"beta": 2.0}, {"pixel_scaling": "unit_norm", "initialisation": "xavier"}],
        ids=lambda changes: "-".join(map(str, changes.values())) or "defaults",
    )
    def test_after_fifty_steps_the_parameters_are_the_same(
        self, settings: TrialSettings, changes: dict[str, Any], hidden: tuple[int, ...]
    ) -> None:
        check_alike_after_fifty_steps(settings, changes, hidden)

    @pytest.mark.parametrize("kind", ["vae", "vsc_disarm"])
    @pytest.mark.parametrize("hidden", [(8,) * 3, (8,) * 4, (8,) * 5], ids=len)
    def test_so_they_are_in_deeper_networks(self, kind: str, hidden: tuple[int, ...]) -> None:
        check_alike_after_fifty_steps(make_settings(kind), {}, hidden)

    @pytest.mark.slow
    def test_so_they_are_in_wide_ones(self) -> None:
        check_alike_after_fifty_steps(make_settings("vsc_sigmoid"), {"learning_rate": 1e-4}, (2000, 2000))

    @pytest.mark.parametrize(
        "changes", [{"gamma_clamp": 0.1}, {"sharpness_schedule": "ramp"}, {"sharpness_schedule": "per_step"}]
    )
    def test_so_they_are_with_the_settings_of_a_spike(self, changes: dict[str, Any]) -> None:
        check_alike_after_fifty_steps(make_settings("vsc_sigmoid"), changes, (16,))

    @pytest.mark.parametrize("changes", [{"binarisation": "dynamic"}, {"binarisation": "static", "activation": "tanh"}])
    def test_so_they_are_with_binary_pixels_and_tanh(self, changes: dict[str, Any]) -> None:
        for kind in ("vae", "vsc_disarm"):
            check_alike_after_fifty_steps(make_settings(kind), changes, (16, 8))

    def test_epochs_of_fewer_images_draw_them_anew_and_are_alike(self) -> None:
        settings = make_settings("vae", images_per_epoch=40)
        outcomes = []
        for make in (make_autograd, make_stack):
            trainer = make(settings)
            begin(trainer, settings)
            first = trainer.members[0].shuffle(len(IMAGES), 20)
            trainer.fit_epoch(IMAGES)
            second = trainer.members[0].shuffle(len(IMAGES), 20)
            assert len(set(first.tolist())) == len(set(second.tolist())) == 40
            assert set(first.tolist()) != set(second.tolist())
            assert trainer.members[0].step == 2  # 40 of 70 images in batches of 32
            outcomes.append(get_loss(trainer.fit_epoch(IMAGES)[0]))
        assert outcomes[1] == pytest.approx(outcomes[0], rel=1e-5)

    def test_metrics_are_the_same(self, settings: TrialSettings) -> None:
        outcomes = []
        for make in (make_autograd, make_stack):
            trainer = make(settings)
            begin(trainer, settings)
            outcomes.append([trainer.fit_epoch(IMAGES)[0] for _ in range(2)])
        for one, other in zip(*outcomes, strict=True):
            assert isinstance(one, EpochMetrics)
            assert isinstance(other, EpochMetrics)
            for name in ("loss", "rate", "distortion"):
                assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-5)
            assert (one.epoch, one.sharpness, one.added) == (other.epoch, other.sharpness, other.added)


def test_what_can_be_stacked_is(settings: TrialSettings) -> None:
    assert isinstance(make_trainer(settings, SMALL, latent_dim=settings.latent_dim), Stack)


@pytest.mark.parametrize("kind", ["vae", "vsc_exp_relu"])
def test_autograd_admits_trials_of_one_model_of_any_shape(kind: str) -> None:
    first, other = make_settings(kind), make_settings("vae" if kind != "vae" else "vsc_exp_relu")
    trainer = AutogradTrainer(first, SMALL)
    assert trainer.admits(with_changes(first, latent_dim=9, hidden=[4], batch_size=3))
    assert not trainer.admits(other)
    with pytest.raises(ValueError, match="another model"):
        begin(trainer, other)


def test_an_error_in_ones_step_is_its_own_and_raised_where_it_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    compute_terms = WeightedElbo.terms

    def fail(objective: WeightedElbo, *args: Any) -> Terms:
        if objective.beta == 3:
            raise RuntimeError("out of luck")
        return compute_terms(objective, *args)

    monkeypatch.setattr(WeightedElbo, "terms", fail)
    calm, broken = make_settings("vae", likelihood="gaussian"), make_settings("vae", likelihood="gaussian", beta=3.0)
    alone, shared = make_autograd(calm), make_autograd(calm, 2)
    begin(alone, calm)
    begin(shared, broken)
    begin(shared, calm)
    error, outcome = shared.fit_epoch(IMAGES)
    assert isinstance(error, RuntimeError)
    assert get_loss(outcome) == get_loss(alone.fit_epoch(IMAGES)[0])
    with pytest.raises(RuntimeError, match="out of luck"):
        raise_failure([outcome, error])
    with pytest.raises(RuntimeError, match="out of luck"):
        next(fit(init_state(broken, SMALL, DEVICE), broken, IMAGES))


@pytest.mark.skipif(not has_bf16(DEVICE), reason="this processor has no bf16")
def test_autograd_in_reduced_precision_is_close_and_not_the_same() -> None:
    losses = []
    for precision in ("float32", "bf16"):
        settings = make_settings("vsc_exp_relu", precision=precision)
        trainer = make_autograd(settings)
        begin(trainer, settings)
        losses.append([get_loss(trainer.fit_epoch(IMAGES)[0]) for _ in range(3)][-1])
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


class WithAdversary(WeightedElbo):
    """Adds a term that a small network, with parameters of its own, tries to make large."""

    def __init__(self) -> None:
        super().__init__(beta=1.0)
        self.critic = nn.utils.skip_init(nn.Linear, 3, 1)
        with torch.no_grad():
            for p in self.critic.parameters():
                p.fill_(0.1)

    def terms(self, model: Autoencoder, x: Tensor, noise: Noise, at: At) -> Terms:
        terms = super().terms(model, x, noise, at)
        return Terms(terms.rate, terms.distortion, {"score": self.score(model, x)})

    def score(self, model: Autoencoder, x: Tensor) -> Tensor:
        return self.critic(model.posterior(x).mean).squeeze(1).sigmoid()

    def loss(self, terms: Terms) -> Tensor:
        return super().loss(terms) + terms.added["score"].sum()

    def adversary_loss(self, model: Autoencoder, x: Tensor, others: Tensor, noise: Noise, at: At) -> Tensor:
        return -self.score(model, x).sum()


class TestAnObjectiveWithParametersOfItsOwn:
    @pytest.fixture(autouse=True)
    def _registered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("models.training.state.build_objective", lambda _: WithAdversary())

    def test_both_are_trained_each_by_its_own_adam_and_the_term_is_told(self) -> None:
        settings = make_settings("vae", learning_rate=1e-3)
        trainer = make_autograd(settings)
        begin(trainer, settings)
        before = take(trainer).tensors()
        (metrics,) = trainer.fit_epoch(IMAGES)
        after = take(trainer).tensors()
        assert isinstance(metrics, EpochMetrics)
        assert 0 < metrics.added["score"] < 1
        assert metrics.loss == pytest.approx(metrics.rate + metrics.distortion + metrics.added["score"], rel=1e-6)
        assert {name for name in after if name.startswith("objective.")} == {
            "objective.critic.weight",
            "objective.critic.bias",
        }
        # The first steps of Adam are as long as its learning rate: 1e-3 for the model, 1e-4 for the critic.
        assert 1e-4 < (after["model.encoder.layers.0.bias"] - before["model.encoder.layers.0.bias"]).abs().max() < 4e-3
        moved = (after["objective.critic.bias"] - before["objective.critic.bias"]).item()
        assert 1e-4 < moved < 4e-4

    def test_stopped_and_resumed_equals_uninterrupted(self) -> None:
        check_resumed_equals_uninterrupted(make_autograd, make_settings("vae"))
