"""The floor of a step: work counted as a hand does, over rates that are measured."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from models.benchmark import floor
from models.benchmark.floor import (
    Layer,
    Rates,
    Work,
    compute_floor,
    count_work,
    list_layers,
    measure_bandwidth,
    measure_products,
)
from models.benchmark.plain_loop import PlainVSC
from models.benchmark.subjects import MNIST, SUBJECTS
from models.build import build_model


def test_work_of_two_small_layers_is_what_a_hand_counts() -> None:
    layers = [Layer(3, 2), Layer(1, 4)]  # 6 + 4 weights and 2 + 4 biases
    work = count_work(layers, 5, "float32")
    assert work.num_parameters == 16
    assert work.state_bytes == 16 * 16  # parameter, gradient and two moments of four bytes each
    assert work.num_bytes == 16 * 8 * 4 + (10 + 4) * 4  # forward reads all weights, backward not the first layer's
    assert work.num_operations == 2 * 5 * (10 + 10 + 4)
    assert count_work(layers, 5, "bf16").num_bytes == 16 * 8 * 4 + (10 + 4) * 2


def test_work_of_the_reports_largest_model() -> None:
    layers = list_layers(MNIST.make_settings(), MNIST.image_shape)
    assert layers == [Layer(784, 400), Layer(400, 600), Layer(200, 400), Layer(400, 784)]
    work = count_work(layers, 32, "float32")
    assert (work.num_parameters, work.num_bytes, work.num_operations) == (949_384, 36_703_488, 161_792_000)


def test_the_number_of_parameters_is_that_of_the_model() -> None:
    with torch.random.fork_rng(devices=[]):
        model = PlainVSC(20, 7, 3, 0.2)
    layers = list_layers(MNIST.make_settings(latent_dim=3, hidden=(7,)), (1, 4, 5))
    assert count_work(layers, 1, "float32").num_parameters == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", SUBJECTS)
def test_work_of_each_model_is_that_of_its_layers(name: str) -> None:
    """Multiplications are counted from what the model's layers put out."""
    settings, shape = SUBJECTS[name].make_settings(), SUBJECTS[name].image_shape
    model = build_model(settings, shape, is_drawn=False)
    work = count_work(list_layers(settings, shape), 1, "float32")
    assert work.num_parameters == sum(p.numel() for p in model.parameters())
    counted: list[int] = []

    def count(layer: nn.Module, given: tuple[Tensor], out: Tensor) -> None:
        weight = layer.get_parameter("weight")
        places = out if isinstance(layer, nn.Conv2d) else given[0] if isinstance(layer, nn.ConvTranspose2d) else None
        counted.append(weight.numel() * (1 if places is None else places[0, 0].numel()))

    for layer in model.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(count)
    for half, shape_in in ((model.encoder, shape), (model.decoder, (settings.latent_dim,))):
        half(torch.ones(1, *shape_in))
    assert work.num_operations == 2 * (3 * sum(counted) - counted[0])


@pytest.mark.parametrize(
    ("rates", "expected"), [((10.0, 40.0), (10.0, "bytes")), ((100.0, 10.0), (20.0, "operations"))]
)
def test_the_floor_is_the_larger_of_the_two_times(rates: tuple[float, float], expected: tuple[float, str]) -> None:
    work = Work(num_parameters=1, num_bytes=100, num_operations=200)
    assert compute_floor(work, Rates(bytes_per_second=rates[0], operations_per_second=rates[1])) == expected


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_rates_of_a_card_are_measured_on_numbers_that_differ(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A card computes faster with numbers all alike, of which a step has none."""
    results: list[Tensor] = []

    def run_once(run: Callable[[], Tensor], *_: object) -> float:
        results.append(run())
        return 1.0

    monkeypatch.setattr(floor, "_time_fastest", run_once)
    draw = floor._draw
    monkeypatch.setattr(floor, "_draw", lambda *shape, device, **options: draw(*shape, device="cpu", **options))
    monkeypatch.setattr(floor, "BIG_PRODUCT", 16)
    before = torch.get_rng_state()
    measure_bandwidth(800, device)
    if device == "cuda":
        measure_products([], 1, "bf16", device)
    assert [len(result.unique()) > 50 for result in results] == [True] * len(results)
    assert torch.equal(torch.get_rng_state(), before)


def test_measured_rates_are_those_of_a_processor() -> None:
    assert 1e8 < measure_bandwidth(2**20, seconds=0.01) < 1e13
    before = torch.get_num_threads()
    assert 1e8 < measure_products([Layer(100, 50), Layer(20, 100, num_places=4)], 16, "float32", seconds=0.01) < 1e13
    assert torch.get_num_threads() == before
