from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ray.exceptions import RayTaskError

from harness.datasets import load_dataset
from harness.errors import InputError
from harness.study import Study
from harness.study.largest import list_largest
from harness.study.sections import Resources
from harness.tune import packing
from harness.tune.packing import choose_packing, settle_resources
from models.choices import NETWORKS
from models.settings import TrialSettings
from models.training.autograd_trainer import AutogradTrainer
from models.training.make_trainer import make_trainer
from models.training.stacked.stack import Stack
from models.training.state import init_state
from tests.models.cases import MNIST, SMALL


def make_study(**changes: Any) -> Study:
    content: dict[str, Any] = {
        "name": "small",
        "dataset": "digits",
        "space": [{"model": "vae", "latent_dim": {"grid": [2, 4]}}, {"model": "vsc", "latent_dim": 8, "alpha": 0.2}],
    }
    return Study.model_validate(content | changes)


@pytest.mark.parametrize(
    ("resources", "is_fused", "num_cpus"),
    [
        ({}, False, 1),
        ({"cpu": 2}, False, 2),
        ({"cpu": 0.25}, True, 0.25),
        ({"cpu": 0.25, "fuse": "never"}, False, 0.25),
        ({"gpu": 1}, False, 1),
        ({"gpu": 0.02}, True, 0.05),
        ({"gpu": 0.02, "cpu": 0.5}, True, 0.5),
        ({"gpu": 0.02, "fuse": "never"}, False, 0.05),
        ({"gpu": "auto"}, True, 0.05),
    ],
)
def test_trials_that_share_a_device_are_fused(resources: dict[str, Any], is_fused: bool, num_cpus: float) -> None:
    resolved = Resources.model_validate(resources)
    assert (resolved.is_fused, resolved.num_cpus) == (is_fused, num_cpus)


@pytest.mark.parametrize("gpu", ["all", -1, True, None, [1], float("nan")])
def test_no_other_share_of_a_card_is_taken(gpu: Any) -> None:
    with pytest.raises(ValueError, match="greater than or equal to 0, such as"):
        Resources.model_validate({"gpu": gpu})


def test_a_card_is_filled_to_four_fifths_less_what_is_there_anyway() -> None:
    assert choose_packing(free=100, fixed=10, per_trial=7, num_trials=1000) == 10  # 70 of 80


@pytest.mark.parametrize(("num_trials", "packed"), [(3, 3), (10_000, packing.MAX_PACKED)])
def test_no_more_are_packed_than_there_are_or_than_gains_anything(num_trials: int, packed: int) -> None:
    assert choose_packing(free=80_000_000_000, fixed=10**9, per_trial=15_000_000, num_trials=num_trials) == packed


@pytest.mark.parametrize(("num_cards", "share"), [(1, 0.0166), (3, 0.05), (100, 1.0)])
def test_trials_that_would_fit_on_one_card_are_spread_over_all(
    num_cards: int, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray.cluster_resources", lambda: {"GPU": float(num_cards)})
    monkeypatch.setattr("ray.remote", lambda **_: lambda _: SimpleNamespace(remote=lambda *_: None))
    monkeypatch.setattr("ray.get", lambda _: [(80_000_000_000, 10**9, 15_000_000)])
    resources = settle_resources(make_study(resources={"gpu": "auto"}), 60, load_dataset("digits"))
    assert resources.gpu == share


def test_the_network_that_takes_most_decides_wherever_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = {"big": (80_000_000_000, 10**9, 15_000_000_000), "mlp": (80_000_000_000, 10**9, 15_000_000)}
    monkeypatch.setattr("ray.cluster_resources", lambda: {"GPU": 1.0})
    monkeypatch.setattr("ray.remote", lambda **_: lambda _: SimpleNamespace(remote=lambda s, *_: taken[s.network]))
    monkeypatch.setattr("ray.get", list)
    monkeypatch.setitem(NETWORKS.maps[-1], "big", NETWORKS["mlp"])
    for order in (["big", "mlp"], ["mlp", "big"]):
        study = make_study(resources={"gpu": "auto"}, defaults={"network": {"grid": order}})
        assert settle_resources(study, 60, load_dataset("digits")).gpu == 0.25  # 63 of 15 GB


def test_a_card_too_small_for_one_trial_is_refused() -> None:
    with pytest.raises(InputError, match=r"a trial takes 1[.]1 GB, but the graphics card has 1[.]0 GB free"):
        choose_packing(free=10**9, fixed=10**8, per_trial=10**9, num_trials=5)


def test_the_measured_trial_is_the_largest_of_the_study() -> None:
    study = make_study(
        defaults={"hidden": {"choice": [[16], [400, 200], [300, 300]]}, "batch_size": {"int": [16, 512]}},
        search={"sampler": "random", "num_trials": 5},
    )
    (largest,) = list_largest(study)
    assert (largest.model, largest.latent_dim, largest.batch_size) == ("vsc", 8, 512)
    assert largest.hidden == (300, 300)


def test_auto_without_a_card_is_refused_with_a_way_out(ray_cluster: str) -> None:
    study = make_study(resources={"gpu": "auto"})
    with pytest.raises(InputError, match=r"^resources\.gpu: auto .* --set resources\.gpu=0"):
        settle_resources(study, 3, load_dataset("digits"))


def test_a_place_takes_what_its_trial_keeps_and_no_gradients() -> None:
    """Must hold 7, as far as what stays in memory goes; `make slow` measures all of it."""
    settings = TrialSettings(model="vsc", alpha=0.2, latent_dim=200)
    own = sum(tensor.nbytes for tensor in init_state(settings, MNIST).tensors().values())

    def count(capacity: int) -> int:
        stack = Stack(settings, MNIST, 200, capacity=capacity, device="cpu")
        layers = [t for layer in stack.parameters.layers for t in layer.tensors.values()]
        return sum(t.nbytes for t in (*layers, *stack.parameters.rows.values()))

    assert (count(5) - count(2)) / 3 <= 1.001 * own


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_what_each_trial_more_takes_is_measured_whichever_trainer_it_has(
    network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a CPU, where the states and stacks of trainers stand for what a card has reserved."""
    settings = TrialSettings(model="vae", latent_dim=2, batch_size=2, network=network)
    shape, trainers = (1, 32, 32), []

    def make(*args: Any, **kwargs: Any) -> Any:
        trainers[:] = [make_trainer(*args, **kwargs | {"device": "cpu"})]
        return trainers[0]

    def count() -> int:
        (trainer,) = trainers
        if isinstance(trainer, Stack):
            return sum(t.nbytes for layer in trainer.parameters.layers for t in layer.tensors.values())
        return sum(t.nbytes for state in trainer._states for t in state.tensors().values())

    monkeypatch.setattr("models.training.make_trainer.make_trainer", make)
    monkeypatch.setattr(AutogradTrainer, "fit_epoch", lambda *_: [])  # slow, and needless here
    for name, given in {
        "mem_get_info": lambda: (10**9, 10**9),
        "empty_cache": lambda: None,
        "reset_peak_memory_stats": lambda: None,
        "max_memory_reserved": count,
    }.items():
        monkeypatch.setattr(torch.cuda, name, given)
    monkeypatch.setattr(torch, "zeros", partial(_zeros_on_cpu, torch.zeros))
    free, fixed, per_trial = packing.measure_memory(settings, shape)
    own = sum(tensor.nbytes for tensor in init_state(settings, shape).tensors().values())
    assert free == 10**9
    assert own <= per_trial <= 1.05 * own
    assert fixed <= 0.05 * own


@pytest.mark.parametrize(
    ("room", "measured", "packed"), [(40, (40, 1, 3), 10), (20, (20, 1, 3), 5), (10, (10, 1, 3), 2), (5, (5, 0, 4), 1)]
)
def test_where_many_have_no_room_fewer_are_measured(
    room: int, measured: tuple[int, int, int], packed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trial takes 3, and all of them 1."""

    def measure(_: object, __: object, num_trials: int) -> int:
        if (peak := 1 + 3 * num_trials) > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return peak

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (room, room))
    monkeypatch.setattr(packing, "measure_peak", measure)
    settings = TrialSettings(model="vae", latent_dim=2)
    assert packing.measure_memory(settings, SMALL) == measured
    assert choose_packing(*measured, num_trials=99) == packed


@pytest.mark.parametrize(
    ("cause", "kind", "words"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory"),
            InputError,
            "^resources.gpu: .* no room for a single trial; take",
        ),
        (ValueError("another"), RayTaskError, "another"),
    ],
)
def test_a_card_without_room_for_the_measured_trial_is_refused(
    cause: Exception, kind: type[Exception], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise RayTaskError("measure_memory", str(cause), cause, "", 1, "").as_instanceof_cause()

    monkeypatch.setattr("ray.cluster_resources", lambda: {"GPU": 1.0})
    monkeypatch.setattr("ray.remote", lambda **_: lambda _: SimpleNamespace(remote=lambda *_: None))
    monkeypatch.setattr("ray.get", fail)
    with pytest.raises(kind, match=words):
        settle_resources(make_study(resources={"gpu": "auto"}), 60, load_dataset("digits"))


def _zeros_on_cpu(zeros: Any, *shape: Any, **options: Any) -> Any:
    return zeros(*shape, **options | {"device": "cpu"})


@pytest.mark.parametrize(("gpu", "trials"), [(0, 0), (0.1, 10), (1 / 3, 3), (0.3, 3), (1, 1), (2, 1), (0.0001, 10_000)])
def test_a_card_holds_as_many_trials_as_its_shares_allow(gpu: float, trials: int) -> None:
    assert Resources(gpu=gpu).trials_per_gpu == trials
