"""The plain loop that others are compared with: a textbook's, on our objective."""

from itertools import islice

import pytest
import torch
from torch import Tensor

from models.benchmark.plain_loop import PlainVSC, _convert, has_torchvision, make_transform, resume, train_plainly
from models.benchmark.subjects import MNIST
from models.benchmark.timing import make_images
from models.build import build_model
from models.numerics.computing import computing
from tests.models.cases import DIGITS, at, make_generator, make_noise, make_settings, train


def test_the_plain_loss_is_our_objective_for_the_same_parameters_and_noise(digits: Tensor) -> None:
    ours = build_model(make_settings("vsc_exp_relu", hidden=(32,), latent_dim=5), DIGITS)
    with torch.random.fork_rng(devices=[]):
        plain = PlainVSC(64, 32, 5, 0.3)
    encode, heads, decode, pixels = (
        half.get_submodule(f"layers.{i}") for half in (ours.encoder, ours.decoder) for i in range(2)
    )
    with torch.no_grad():
        for layer, source in ((plain.encode, encode), (plain.decode, decode), (plain.pixels, pixels)):
            layer.load_state_dict(source.state_dict())
        for i, head in enumerate((plain.mu, plain.log_var, plain.v)):
            head.load_state_dict({name: value.chunk(3)[i] for name, value in heads.state_dict().items()})
    x = digits[:40] / 255
    elbo = ours.compute_elbo(x, make_noise(1), at(50.0))
    torch.testing.assert_close(plain.compute_loss(x.flatten(1), make_generator(1)), (elbo.rate + elbo.distortion).sum())


def test_the_plain_loop_goes_on_from_a_state_of_ours_as_ours_does(digits: Tensor) -> None:
    """The loss of a first step from the same parameters, then that Adam takes our moments and count for its own."""
    settings = make_settings("vsc_exp_relu", hidden=(32,), latent_dim=5, epochs=3)
    state, epochs = train(settings, digits)
    with torch.random.fork_rng(devices=[]):
        plain = PlainVSC(64, 32, 5, 0.3)
    optimizer = torch.optim.Adam(plain.parameters(), lr=1e-3)
    resume(plain, optimizer, state)
    assert plain.sharpness == pytest.approx(50.003)
    x = digits / 255
    elbo = state.model.compute_elbo(x, make_noise(1), at(plain.sharpness))
    loss = plain.compute_loss(x.flatten(1), make_generator(1))
    torch.testing.assert_close(loss, (elbo.rate + elbo.distortion).sum())
    first = optimizer.state[plain.log_var.weight]
    assert first["step"] == state.step == 3 * 47
    assert torch.equal(first["exp_avg"], state.moments["adam.encoder.layers.1.weight.exp_avg"].chunk(3)[1])
    loss.backward()
    optimizer.step()  # it has all that a step needs
    assert epochs[-1].loss < epochs[0].loss


def test_the_plain_loop_learns(digits: Tensor) -> None:
    steps = train_plainly(digits.squeeze(1), num_hidden=32, latent_dim=4, alpha=0.3, batch_size=32)
    with computing():
        losses = list(islice(steps, 200))
    assert sum(losses[-20:]) < 0.8 * sum(losses[:20])


def test_images_are_converted_by_hand_as_torchvision_does() -> None:
    assert has_torchvision()
    image = make_images(1, MNIST.image_shape)[0, 0]
    assert torch.equal(make_transform()(image), _convert(image))
    assert torch.equal(_convert(image), image[None] / 255)


def test_a_fifth_of_the_pixels_are_not_black() -> None:
    images = make_images(200, MNIST.image_shape)
    assert (images.shape, images.dtype) == ((200, 1, 28, 28), torch.uint8)
    assert (images > 0).double().mean() == pytest.approx(0.2, abs=0.01)
    assert images.max() == 255
