"""The elementwise parts of the objective, between the matrix products, with gradients written out by hand.

They compute the same as `Autoencoder.compute_elbo`; tests compare their gradients with autograd's. They pass over
memory a third as often as autograd, and a GPU runs each as one kernel.
"""

from typing import NamedTuple, assert_never

import torch
from torch import Tensor
from torch.nn.functional import softplus

from models.choices import Activation, Estimator, GammaLink, KlFrom
from models.latents.spike_and_slab import compute_log_probs
from models.setting import MIN_PROB

ESTIMATORS: tuple[Estimator, ...] = ("relaxed", "straight_through", "disarm")
"""The estimators of the gates' gradient that are written out here."""


class Coefficients(NamedTuple):
    """Coefficients of the objective, which differ between the K models of a stack."""

    log_slab: Tensor  # (K, 1, 1): log alpha
    log_spike: Tensor  # (K, 1, 1): log(1 - alpha)
    beta: Tensor  # (K, 1, 1): weight of the rate
    is_dense: Tensor | None  # (K, 1, 1) bool: True for a VAE among VSCs; None: there is none
    is_padding: Tensor | None  # (K, 1, D) bool: True beyond the model's number of latents; None: nowhere


class PairSlope(NamedTuple):
    """Derivatives of the two codes that DisARM draws of each image: what `Codes.slope` would repeat is written once."""

    gates: Tensor  # (K, 2 B, D), 0 or 1: of z by mu
    by_log_var: Tensor  # (K, B, D): of z by log sigma^2 where the gate is 1
    by_difference: Tensor  # (K, B, D): gradient by v for each nat between the distortions of both codes


class Codes(NamedTuple):
    """Codes sampled for a batch, their rate, and the derivatives of both by the encoder's H outputs per latent."""

    z: Tensor  # (K, B, D); by DisARM (K, 2 B, D), the first codes of all images, then the second ones
    rate: Tensor  # (K, B), nats per image
    slope: Tensor | PairSlope  # (K, B, H, D), or by DisARM: derivatives of z
    rate_slope: Tensor  # (K, B, H, D): derivatives of beta times the rate


def sample_codes(  # noqa: PLR0915 (one pass over memory, as one kernel has it)
    heads: Tensor,  # (K, B, H, D): mu, log sigma^2 and, where H is 3, the pre-activation of gamma
    noise: tuple[Tensor, Tensor],  # each (K, B, D): standard normal, and uniform in [0, 1)
    sharpness: Tensor,  # (K, 1, 1), of the relaxed spikes
    coefficients: Coefficients,
    gamma_link: GammaLink | None,  # None: all models are VAEs, and H is 2
    *,
    gamma_clamp: float = MIN_PROB,  # least distance of gamma from 0 and 1 in a KL from gamma
    kl_from: KlFrom = "gamma",
    estimator: Estimator = "relaxed",
) -> Codes:
    """Draw reparameterised samples (gated where there is a spike); compute their rate and the derivatives of both.

    The rate is that of models.latents.spike_and_slab_distribution, the estimators are those of
    models.latents.spike_and_slab. Source: Variational Sparse Coding, equations 9 to 11.
    """
    eps, eta = noise
    mu, log_var = heads[:, :, 0], heads[:, :, 1]
    # In place where a value is not needed again: access to memory, not arithmetic, takes the time.
    sigma = (0.5 * log_var).exp_()
    surplus = sigma.square().sub_(1)
    spread = sigma.mul_(eps)
    slab = mu + spread
    gaussian = (surplus - log_var).addcmul_(mu, mu).mul_(0.5)
    slope: Tensor | PairSlope
    if gamma_link is None:
        z, rate = slab, gaussian
        slope = torch.stack([torch.ones_like(mu), 0.5 * spread], 2)
        rate_slopes = [mu, 0.5 * surplus]
    else:
        v = heads[:, :, 2]
        gamma, gamma_slope = find_gamma(v, gamma_link)
        match kl_from:
            case "gamma":
                prob = gamma.clamp(gamma_clamp, 1 - gamma_clamp)
                by_spike = (-prob).log1p_().sub_(coefficients.log_spike)
                log_ratio = prob.log().sub_(coefficients.log_slab).sub_(by_spike)
                bernoulli = torch.addcmul(by_spike, prob, log_ratio)
                by_prob = log_ratio.add_(gaussian).mul_(prob == gamma)  # clamping stops the gradient
            case "logits":
                prob, (log_gamma, log_spike) = gamma.clone(), compute_log_probs(v, gamma_link)
                by_spike, by_slab = log_spike - coefficients.log_spike, log_gamma - coefficients.log_slab
                bernoulli = torch.addcmul(log_spike.exp().mul_(by_spike), prob, by_slab)
                by_prob = by_slab.sub_(by_spike).add_(gaussian)
            case _:
                assert_never(kl_from)
        if coefficients.is_dense is not None:
            prob.masked_fill_(coefficients.is_dense, 1.0)
            gamma_slope.masked_fill_(coefficients.is_dense, 0.0)
            bernoulli.masked_fill_(coefficients.is_dense, 0.0)
            by_prob.masked_fill_(coefficients.is_dense, 0.0)  # without a clamp the old value can be infinite
        rate = bernoulli.addcmul_(prob, gaussian)
        rate_slopes = [prob * mu, surplus.mul_(prob).mul_(0.5), by_prob.mul_(gamma_slope)]
        match estimator:
            case "disarm":
                slope = _draw_pairs(gamma, gamma_slope, eta, spread, coefficients)
                z = slope.gates * slab.repeat(1, 2, 1)
            case "relaxed" | "straight_through":
                relaxed = (eta - 1).add_(gamma).mul_(sharpness).sigmoid_()
                gate = relaxed if estimator == "relaxed" else (eta >= 1 - gamma).to(eta.dtype)
                if coefficients.is_dense is not None:
                    gate.masked_fill_(coefficients.is_dense, 1.0)
                by_gamma = (relaxed - relaxed.square()).mul_(slab).mul_(gamma_slope).mul_(sharpness)
                z = gate * slab
                slope = torch.stack([gate, spread.mul_(gate).mul_(0.5), by_gamma], 2)
            case _:
                assert_never(estimator)
    rate_slope = torch.stack(rate_slopes, 2).mul_(coefficients.beta.unsqueeze(2))
    if coefficients.is_padding is not None:
        padding = coefficients.is_padding.unsqueeze(2)
        z, rate = z.masked_fill(coefficients.is_padding, 0.0), rate.masked_fill(coefficients.is_padding, 0.0)
        rate_slope.masked_fill_(padding, 0.0)
        if isinstance(slope, Tensor):
            slope.masked_fill_(padding, 0.0)
    return Codes(z, rate.sum(-1), slope, rate_slope)


def _draw_pairs(
    gamma: Tensor, gamma_slope: Tensor, eta: Tensor, spread: Tensor, coefficients: Coefficients
) -> PairSlope:
    """Open the gates of the two codes that DisARM draws of each image, (K, B, D) each. `spread` is overwritten."""
    gates = torch.cat([eta >= 1 - gamma, eta < gamma], 1).to(eta.dtype)
    inner = gamma.clamp(MIN_PROB, 1 - MIN_PROB)
    by_difference = torch.maximum(inner, 1 - inner).div_(inner * (1 - inner)).mul_(gamma_slope)
    if coefficients.is_dense is not None:
        gates.masked_fill_(coefficients.is_dense, 1.0)
    if coefficients.is_padding is not None:
        gates.masked_fill_(coefficients.is_padding, 0.0)
    first, second = gates.chunk(2, 1)
    by_difference.mul_(first - second).mul_(0.5)
    return PairSlope(gates, spread.mul_(0.5), by_difference)


def find_gamma(v: Tensor, link: GammaLink) -> tuple[Tensor, Tensor]:
    """Compute gamma and its derivative by v, each of v's shape."""
    match link:
        case "exp_relu":
            gamma = v.clamp_max(0).exp_()
            return gamma, gamma * (v < 0)
        case "sigmoid":
            gamma = v.sigmoid()
            return gamma, gamma * (1 - gamma)


def find_heads_gradient(codes: Codes, grad: Tensor, distortion: Tensor) -> Tensor:  # -> (K, B, H, D)
    """Compute the objective's gradient by the encoder's outputs. grad: the distortion's gradient by the codes, as z.

    distortion: (K, B), nats per image; by DisARM (K, 2 B), and `grad` is then the gradient of the mean of both.
    """
    if isinstance(codes.slope, Tensor):
        return torch.addcmul(codes.rate_slope, codes.slope, grad.unsqueeze(2))
    first, second = (codes.slope.gates * grad).chunk(2, 1)
    one, other = distortion.unsqueeze(2).chunk(2, 1)
    by_heads = [
        first + second,
        first * codes.slope.by_log_var + second * codes.slope.by_log_var,
        codes.slope.by_difference * (one - other),
    ]
    return torch.stack(by_heads, 2).add_(codes.rate_slope)


def compare_pixels(
    logits: Tensor, x: Tensor, *, is_pair: bool = False
) -> tuple[Tensor, Tensor]:  # twice (K, B, P) -> (K, B), (K, B, P)
    """Compute the distortion -log p(x|z) of Bernoulli pixels, nats per image, and its gradient by the logits.

    is_pair: the logits are of both codes of each image, (K, 2 B, P), and the gradient is of the mean of both.
    """
    if is_pair:
        x = x.repeat(1, 2, 1)
    distortion, grad = softplus(logits).sub_(x * logits).sum(-1), logits.sigmoid().sub_(x)
    return distortion, grad.mul_(0.5) if is_pair else grad


def pass_activation(activation: Activation, grad: Tensor, out: Tensor) -> Tensor:
    """Compute the gradient by a hidden layer's output before its activation. grad: by what comes out of it, `out`."""
    by_input: Tensor
    match activation:
        case "relu":
            by_input = torch.ops.aten.threshold_backward(grad, out, 0.0)  # 0 where out is 0
        case "tanh":
            by_input = torch.ops.aten.tanh_backward(grad, out)  # grad (1 - out^2)
        case _:
            assert_never(activation)
    return by_input
