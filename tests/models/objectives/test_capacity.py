"""The capacity of the rate: how it rises, and what its distance costs."""

import pytest
import torch

from models.build import build_model, build_objective
from models.latents.latent import At
from models.measures.bounds import compute_loss
from models.objectives.capacity import CapacityElbo
from models.objectives.objective import Terms
from models.training.trainer import EpochMetrics
from tests.models.cases import SMALL, make_generator, make_images, make_noise, make_settings
from tests.models.training.conformance import IMAGES, begin, make_autograd


@pytest.mark.parametrize(("step", "capacity"), [(0, 0.0), (25, 5.0), (100, 20.0), (1000, 20.0)])
def test_the_capacity_rises_linearly_to_its_end_and_stays_there(step: int, capacity: float) -> None:
    settings = make_settings("vae")
    x = build_model(settings, SMALL).to_pixels(make_images(3, SMALL))
    objective = CapacityElbo(2.0, 20.0, 100)
    terms = objective.terms(build_model(settings, SMALL), x, make_noise(0), At(torch.tensor(0.0), step))
    assert terms.added["capacity"].tolist() == [capacity] * 3


@pytest.mark.parametrize(("capacity", "distance"), [(1.0, 2.0), (3.0, 0.0), (10.0, 7.0)])
def test_the_loss_is_the_distance_of_the_batchs_mean_rate_from_the_capacity(capacity: float, distance: float) -> None:
    terms = Terms(torch.tensor([2.0, 4.0]), torch.tensor([10.0, 20.0]), {"capacity": torch.full((2,), capacity)})
    assert CapacityElbo(1000.0, 25.0, 1).loss(terms).item() == 30 + 1000 * distance * 2


def test_the_loss_is_measured_at_the_capacity_of_the_step() -> None:
    """At the end it is nearer to the rate by the whole capacity than at the start, as the rate is far above both."""
    settings = make_settings("annealed_vae", capacity=3.0, capacity_steps=60, beta=1000.0)
    model, objective = build_model(settings, SMALL), build_objective(settings)
    torch.nn.init.constant_(model.encoder.layers[-1].bias, 4.0)
    start, end = (
        compute_loss(model, objective, make_images(8, SMALL), make_generator(0), sharpness=None, step=step)
        for step in (0, 60)
    )
    assert start - end == pytest.approx(1000.0 * 3.0)


def test_training_draws_the_rate_to_the_capacity_and_tells_the_capacity_of_each_epoch() -> None:
    settings = make_settings("annealed_vae", capacity=3.0, capacity_steps=60, beta=1000.0, learning_rate=0.01)
    trainer = make_autograd(settings)
    begin(trainer, settings)
    metrics = [trainer.fit_epoch(IMAGES)[0] for _ in range(60)]
    assert all(isinstance(one, EpochMetrics) for one in metrics)
    # Epochs have 3 steps, of 32, 32 and 6 of 70 images.
    first = 3.0 * (0 * 32 + 1 * 32 + 2 * 6) / 70 / 60
    assert metrics[0].added["capacity"] == pytest.approx(first)  # type: ignore[union-attr]
    assert metrics[-1].added["capacity"] == 3.0  # type: ignore[union-attr]
    assert metrics[-1].rate == pytest.approx(3.0, abs=0.4)  # type: ignore[union-attr]
