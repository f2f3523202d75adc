"""Convolutional networks: their sizes, what they compute, how they start, what images they refuse."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.build import build_model
from models.choices import ImageShape
from models.networks.architectures import ARCHITECTURES
from models.networks.conv import FEW, ConvEncoder, TransposedConvolution
from models.networks.counting import count_parameters
from models.settings import TrialSettings
from models.training.autograd_trainer import AutogradTrainer
from models.training.make_trainer import make_trainer
from models.training.state import init_state
from models.training.trainer import EpochMetrics
from tests.models.cases import DEVICE, assert_same_tensors, copy_tensors, make_images, make_settings

GREY, COLOUR, SMALL_COLOUR = (1, 64, 64), (3, 64, 64), (3, 32, 32)
TINY: ImageShape = (1, 16, 16)


def make_conv(kind: str = "vae", **changes: Any) -> TrialSettings:
    return make_settings(kind, **{"network": "conv", "hidden": (400,)} | changes)


@pytest.mark.parametrize(
    ("kind", "architecture", "shape", "latent_dim", "published"),
    [
        ("vae", "report", GREY, 10, 764_245),
        ("vsc_exp_relu", "report", GREY, 10, 766_815),
        ("vsc_exp_relu", "report", GREY, 100, 859_245),
        ("vsc_exp_relu", "report", COLOUR, 200, 963_995),
        ("vsc_exp_relu", "report", SMALL_COLOUR, 800, 1_186_211),
        ("vae", "report", COLOUR, 32, 783_235),
        ("vae", "locatello", GREY, 10, 690_517),
        ("vae", "locatello", COLOUR, 10, 692_567),
        ("vae", "burgess", GREY, 10, 502_005),
        ("vae", "burgess", COLOUR, 10, 504_055),
    ],
)
def test_models_have_as_many_parameters_as_published(
    kind: str, architecture: str, shape: ImageShape, latent_dim: int, published: int
) -> None:
    settings = make_conv(kind, architecture=architecture, latent_dim=latent_dim)
    model = build_model(settings, shape, is_drawn=False)
    assert sum(p.numel() for p in model.parameters()) == published
    assert count_parameters(settings, shape) == published


def test_a_model_of_an_mlp_is_counted_and_one_of_a_plugin_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert count_parameters(make_settings("vae", hidden=(5, 4)), (1, 2, 3)) == sum(
        [7 * 5, 6 * 4, 5 * 6, 4 * 4, 5 * 5, 6 * 6]
    )
    monkeypatch.delitem(__import__("models.networks.counting", fromlist=["COUNTS"]).COUNTS, "mlp")
    assert count_parameters(make_settings("vae"), (1, 2, 3)) is None


# The plain modules, written down from the descriptions of each paper's code.


relu = nn.ReLU()


def conv(num_in: int, num_out: int, side: int = 4) -> nn.Module:
    return nn.Conv2d(num_in, num_out, side, stride=2, padding=1 if side == 4 else 0)


def back(num_in: int, num_out: int) -> nn.Module:
    return nn.ConvTranspose2d(num_in, num_out, 4, stride=2, padding=1)


def report(d: int, channels: int, inner: int) -> list[nn.Module]:
    return [
        *(conv(channels, 32), relu, conv(32, 32), relu, conv(32, 64), relu, conv(64, 64), relu),
        *behind_64_channels(d, channels, inner),
    ]


def locatello(d: int, channels: int, inner: int) -> list[nn.Module]:
    return [
        *(conv(channels, 32), relu, conv(32, 32), relu, conv(32, 64, 2), relu, conv(64, 64, 2), relu),
        *behind_64_channels(d, channels, inner),
    ]


def behind_64_channels(d: int, channels: int, inner: int) -> list[nn.Module]:
    flat = 64 * inner**2
    return [
        *(nn.Flatten(), nn.Linear(flat, 256), relu, nn.Linear(256, d), nn.Linear(256, d)),
        *(nn.Linear(d, 256), relu, nn.Linear(256, flat), relu, nn.Unflatten(1, (64, inner, inner))),
        *(back(64, 64), relu, back(64, 32), relu, back(32, 32), relu, back(32, channels)),
    ]


def burgess(d: int, channels: int, inner: int) -> list[nn.Module]:
    flat = 32 * inner**2
    return [
        *(conv(channels, 32), relu, conv(32, 32), relu, conv(32, 32), relu, conv(32, 32), relu),
        *(nn.Flatten(), nn.Linear(flat, 256), relu, nn.Linear(256, 256), relu, nn.Linear(256, d), nn.Linear(256, d)),
        *(nn.Linear(d, 256), relu, nn.Linear(256, 256), relu, nn.Linear(256, flat), relu),
        nn.Unflatten(1, (32, inner, inner)),
        *(back(32, 32), relu, back(32, 32), relu, back(32, 32), relu, back(32, channels)),
    ]


PLAIN: dict[str, Callable[[int, int, int], list[nn.Module]]] = {
    "report": report,
    "locatello": locatello,
    "burgess": burgess,
}


@pytest.mark.parametrize("shape", [(1, 64, 64), (3, 32, 32), (1, 16, 16)])
@pytest.mark.parametrize("architecture", PLAIN)
def test_a_batch_comes_out_as_of_a_plain_module_which_draws_the_same_parameters(
    architecture: str, shape: ImageShape
) -> None:
    d, seed = 10, 7
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = PLAIN[architecture](d, shape[0], shape[1] // 16)
    heads = next(i for i, layer in enumerate(layers) if isinstance(layer, nn.Linear) and layer.out_features == d)
    encode, decode = nn.Sequential(*layers[:heads]), nn.Sequential(*layers[heads + 2 :])
    model = build_model(make_conv(architecture=architecture, latent_dim=d, seed=seed), shape)
    x = make_images(4, shape, seed=1) / 255
    for grad in (True, False):  # without gradients layers may be computed otherwise
        with torch.set_grad_enabled(grad):
            expected = torch.stack([head(encode(x)) for head in layers[heads : heads + 2]], 1)
            torch.testing.assert_close(model.encode(x), expected, rtol=0, atol=1e-6)
            z = expected[:, 0].detach()
            torch.testing.assert_close(model.make_outputs(z), decode(z), rtol=0, atol=1e-6)
    assert isinstance(model.encoder, ConvEncoder)
    hidden = model.encoder.compute_hidden(x)
    assert hidden.shape == (4, model.encoder.num_hidden)
    torch.testing.assert_close(model.encoder.top.layers[-1](hidden).view(4, 2, d), expected, rtol=0, atol=1e-6)
    several = torch.stack([z, 2 * z, 3 * z])
    torch.testing.assert_close(model.make_outputs(several)[2], decode(3 * z), rtol=0, atol=1e-5)


def test_xavier_looks_at_both_ends_of_each_filter_and_leaves_the_biases() -> None:
    kaiming, xavier = (build_model(make_conv(initialisation=name), TINY).state_dict() for name in ("kaiming", "xavier"))
    names = [name for name in kaiming if "convolutions" in name]
    assert len(names) == 16
    for name in names:
        # Of a transposed convolution torch's inputs, by which it scales, are the weight's second dimension as well.
        by_one, by_other = (num * 16 for num in kaiming[name].shape[:2]) if name.endswith("weight") else (1, 1)
        ratio = math.sqrt(6 / (by_one + by_other)) * math.sqrt(by_other) if name.endswith("weight") else 1.0
        torch.testing.assert_close(xavier[name], ratio * kaiming[name], rtol=1e-5, atol=1e-7)  # from the same draws


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(
    ("shape", "problem"),
    [
        ((1, 28, 28), "square images whose side is a multiple of 16, such as 32 x 32, and these are 28 x 28"),
        ((1, 32, 64), "square images whose side is a multiple of 16, such as 32 x 32, and these are 32 x 64"),
        ((2, 32, 32), r"images of 1 channel \(grey\) or 3 channels \(colour\), and these have 2"),
    ],
)
def test_images_that_do_not_fit_are_refused(architecture: str, shape: ImageShape, problem: str) -> None:
    settings = make_conv(architecture=architecture)
    for refuse in (count_parameters, build_model):
        with pytest.raises(ValueError, match=f"^network: conv takes {problem}; set network: mlp$"):
            refuse(settings, shape)


IMAGES = make_images(40, TINY).to(DEVICE)


def begin(settings: TrialSettings, trainer: AutogradTrainer) -> None:
    trainer.add(settings, init_state(settings, TINY, DEVICE).tensors(), epoch=0, step=0)


def take(settings: TrialSettings, trainer: AutogradTrainer, index: int = 0) -> dict[str, Tensor]:
    state = init_state(settings, TINY, DEVICE, is_drawn=False)
    trainer.store(index, state.tensors())
    return state.tensors()


@pytest.mark.parametrize("kind", ["vae", "vsc_disarm"])
def test_trained_alone_among_others_or_resumed_it_has_the_same_bits(kind: str) -> None:
    settings = make_conv(kind, batch_size=16, architecture="locatello")
    alone = make_trainer(settings, TINY, latent_dim=3, device=DEVICE)
    assert isinstance(alone, AutogradTrainer), "its gradients are not written out"
    beside = AutogradTrainer(settings, TINY, capacity=2, device=DEVICE)
    begin(settings, alone)
    begin(make_conv(kind, batch_size=8, architecture="burgess"), beside)
    begin(settings, beside)
    alone.fit_epoch(IMAGES)
    stored = {name: tensor.clone() for name, tensor in take(settings, alone).items()}
    (metrics,) = alone.fit_epoch(IMAGES)
    resumed = AutogradTrainer(settings, TINY, device=DEVICE)
    resumed.add(settings, stored, epoch=1, step=3)
    (again,) = resumed.fit_epoch(IMAGES)
    for _ in range(2):
        _, shared = beside.fit_epoch(IMAGES)
    assert isinstance(metrics, EpochMetrics)
    assert isinstance(again, EpochMetrics)
    assert isinstance(shared, EpochMetrics)
    assert metrics.loss == again.loss == shared.loss
    assert_same_tensors(take(settings, resumed), take(settings, alone))
    assert_same_tensors(take(settings, beside, 1), take(settings, alone))
    start = copy_tensors(init_state(settings, TINY, DEVICE))
    still = [name for name, tensor in take(settings, alone).items() if torch.equal(tensor, start[name])]
    assert still == [], "gradients reach every parameter"


@pytest.mark.parametrize("num_out", [1, FEW, FEW + 1])
def test_a_map_is_doubled_as_by_torchs_layer(num_out: int) -> None:
    """Forward and backward, whichever kernel torch takes for so many channels."""
    with torch.random.fork_rng(devices=[]):
        torchs = nn.ConvTranspose2d(8, num_out, 4, stride=2, padding=1)
        ours = TransposedConvolution(8, num_out, 4, stride=2, padding=1)
    ours.load_state_dict(torchs.state_dict())
    maps = torch.randn(5, 8, 4, 4, generator=torch.Generator().manual_seed(1)).requires_grad_()
    by_out = torch.randn(5, num_out, 8, 8, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(ours(maps), torchs(maps))
    gradients = (torch.autograd.grad(layer(maps), [maps, *layer.parameters()], by_out) for layer in (ours, torchs))
    torch.testing.assert_close(*gradients)
