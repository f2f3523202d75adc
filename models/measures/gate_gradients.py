"""How good the gradient is that trains the gates: bias and noise of each estimator, at a trained model."""

import math
from copy import copy

import torch
from torch import Tensor

from models.autoencoder import Autoencoder
from models.choices import Estimator
from models.latents.latent import At
from models.latents.spike_and_slab import SpikeAndSlabLatent
from models.measures.metric_names import ESTIMATORS, WITH_BIAS
from models.numerics.computing import measuring
from models.randomness import StreamNoise

NUM_IMAGES = 100
NUM_DRAWS = 400


def measure_gate_gradients(
    model: Autoencoder,
    images: Tensor,  # (N, C, H, W) uint8
    generator: torch.Generator,
    *,
    sharpness: float,
    step: int,
    num_draws: int = NUM_DRAWS,
) -> dict[str, float]:
    """Compute `<estimator>_bias` and `<estimator>_noise` of the distortion's gradient by the gates' pre-activations.

    Bias: length of the mean gradient's error. Noise: standard deviation of one draw, over all latents. Both are root
    mean squares over images, as shares of the length of the true gradient, which is the mean of DisARM, as it has no
    bias. The same noise serves all estimators. What the finite number of draws adds to a length is taken off; a length
    that is lost in it is NaN, and with that of the true gradient all are. Empty for a model without gates.

    images: at most 100 of them serve, evenly spaced. sharpness: of relaxed gates, as in the next step of training.
    step: steps trained, which a warm-up of slabs goes by.
    """
    if not isinstance(model.latent, SpikeAndSlabLatent):
        return {}
    with measuring(model):
        x = model.to_pixels(images[:: max(1, len(images) // NUM_IMAGES)][:NUM_IMAGES])
        with torch.no_grad():
            heads = model.encode(x)
        at = At(torch.tensor(sharpness, device=heads.device), step)
        drawn = {name: _Draws() for name in ESTIMATORS}
        errors = {name: _Draws() for name in ESTIMATORS}
        for _ in range(num_draws):
            state = generator.get_state()
            gradients = {}
            for name in ESTIMATORS:
                generator.set_state(state)
                gradients[name] = _draw_gradient(model, name, heads, x, noise=StreamNoise(generator), at=at)
            for name, gradient in gradients.items():
                drawn[name].add(gradient)
                errors[name].add(gradient - gradients["disarm"])
    length = drawn["disarm"].measure_length()
    measured = {f"{name}_bias": errors[name].measure_length() / length for name in WITH_BIAS}
    return measured | {f"{name}_noise": drawn[name].measure_spread() / length for name in ESTIMATORS}


def _draw_gradient(
    model: Autoencoder, estimator: Estimator, heads: Tensor, x: Tensor, *, noise: StreamNoise, at: At
) -> Tensor:  # (B, H, D), (B, C, H, W) -> (B, D)
    """Draw the gradient of each image's distortion by v once."""
    latent = copy(model.latent)
    assert isinstance(latent, SpikeAndSlabLatent)
    latent.estimator = estimator
    heads = heads.detach().requires_grad_()
    q = latent.posterior(heads)
    nats = latent.estimate_distortion(q, lambda z: model.compute_distortion(z, x), noise, at)
    (gradient,) = torch.autograd.grad(nats.sum(), heads)
    return gradient[:, 2].double().cpu()


class _Draws:
    """Vectors (B, D), drawn one after the other: none is kept."""

    def __init__(self) -> None:
        self._num = 0
        self._sum = self._squares = torch.zeros(())

    def add(self, vectors: Tensor) -> None:
        self._num += 1
        self._sum = self._sum + vectors
        self._squares = self._squares + vectors.square()

    def measure_spread(self) -> float:
        """Root mean square over images of the standard deviation of one draw, over all entries."""
        variance = (self._squares - self._sum.square() / self._num) / (self._num - 1)
        return math.sqrt(float(variance.sum(1).mean().clamp_min(0)))

    def measure_length(self) -> float:
        """Root mean square over images of the expectation's length; NaN if it is lost in the noise of its estimate."""
        square = float((self._sum / self._num).square().sum(1).mean()) - self.measure_spread() ** 2 / self._num
        return math.sqrt(square) if square > 0 else math.nan
