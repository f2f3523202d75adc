"""Spike-and-slab latents whose prior is made of the posteriors of trained pseudo-inputs, as first published."""

import math
from typing import Any, assert_never

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, MixtureSameFamily
from torch.nn.functional import linear

from models.choices import ImageShape, PseudoGammas, Selector, SparsityOf, WarmUp
from models.latents.latent import At, Decode, Encode
from models.latents.spike_and_slab import SpikeAndSlabLatent
from models.latents.spike_and_slab import build_arguments as build_spike_and_slab_arguments
from models.latents.spike_and_slab_distribution import SpikeAndSlab, compute_kl
from models.randomness import Noise
from models.setting import MIN_PROB
from models.settings import TrialSettings

SELECTOR_SHARPNESS = 60.0
GAMMA_SHARPNESS = 10.0
SMALL = 1e-6  # keeps a sum of outputs that are all zero from dividing by zero


class PseudoInputLatent(SpikeAndSlabLatent):
    """A spike-and-slab posterior under a prior that is the posterior of a pseudo-input, chosen by a selector.

    In training the rate is KL(q(z|x) || q(z|x_u)), weighed over the U pseudo-inputs by the selector, as published. It
    does not pay for the choice. What is measured does: there the prior is the even mixture of all q(z|x_u), and the
    rate an upper bound on the KL to it, so that what is reported as a bound is one.

    Source: Tonolini, Jensen and Murray-Smith, Variational Sparse Coding (UAI 2019), equations 4 to 7, its supplement
    A.3, and its code, github.com/ftonolini45/Variational_Sparse_Coding, which differs in `selector`, `pseudo_gammas`,
    `sparsity_of` and `warm_up`. KL between mixtures: Hershey and Olsen, Approximating the Kullback Leibler Divergence
    between Gaussian Mixture Models (ICASSP 2007), equation 20.
    """

    has_schedule = True  # the warm-up of its spikes

    def __init__(
        self,
        latent_dim: int,
        *,
        num_pseudo_inputs: int,
        selector: Selector,
        pseudo_gammas: PseudoGammas,
        sparsity_of: SparsityOf,
        warm_up: WarmUp,
        warm_up_from: int,
        warm_up_to: int,
        **of_spikes: Any,
    ) -> None:
        """warm_up_from, warm_up_to: steps over which lambda rises from 0 to 1. of_spikes: see SpikeAndSlabLatent."""
        super().__init__(latent_dim, **of_spikes)
        self.num_pseudo_inputs = num_pseudo_inputs
        self.selector, self.pseudo_gammas, self.sparsity_of = selector, pseudo_gammas, sparsity_of
        self.warm_up, self.warm_up_from, self.warm_up_to = warm_up, warm_up_from, warm_up_to
        self.image_shape: ImageShape = (0, 0, 0)

    def set_up(self, image_shape: ImageShape, generator: torch.Generator | None) -> None:
        """Make the pseudo-inputs and the selector's one layer: Glorot uniform, the biases zero, as in the code."""
        self.image_shape = image_shape
        num, num_pixels = self.num_pseudo_inputs, math.prod(image_shape)
        self.pseudo_inputs, self.selector_weight = (nn.Parameter(torch.empty(num, num_pixels)) for _ in range(2))
        self.selector_bias = nn.Parameter(torch.zeros(num))
        if generator is not None:
            bound = math.sqrt(6 / (num + num_pixels))
            with torch.no_grad():
                for parameter in (self.pseudo_inputs, self.selector_weight):
                    parameter.uniform_(-bound, bound, generator=generator)

    # The prior

    def encode_pseudo_inputs(self, encode: Encode) -> SpikeAndSlab:
        """Compute q(z|x_u) of every pseudo-input, of batch shape (U, D); gammas keep MIN_PROB away from 0 and 1."""
        q = self.posterior(encode(self.pseudo_inputs.view(-1, *self.image_shape)))
        match self.pseudo_gammas:
            case "encoded":
                gamma = q.slab_prob
            case "sharpened":
                gamma = torch.sigmoid(GAMMA_SHARPNESS * (q.slab_prob - 0.5))
            case _:
                assert_never(self.pseudo_gammas)
        return SpikeAndSlab(gamma.clamp(MIN_PROB, 1 - MIN_PROB), q.loc, q.scale, validate_args=False)

    def select(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, U)
        """Compute the weight of each pseudo-input for each image.

        sharpened: the share of each output, sigmoid(60 (share - 1/2)): near 1 for one of more than half, near 0 for
        the others. Where none has half, no pseudo-input counts and the image pays no rate, which training finds out.
        normalised: these weights as shares, which sum to 1, as what selects one would. soft: shares of sigmoids.
        They have the precision of x even where the products have a lower one.
        """
        outputs = linear(x.flatten(1), self.selector_weight, self.selector_bias).to(x.dtype)
        if self.selector == "soft":
            weights = outputs.sigmoid()
            return weights / weights.sum(1, keepdim=True)
        outputs = outputs.relu() + SMALL
        shares = outputs / outputs.sum(1, keepdim=True)
        weights = torch.sigmoid(SELECTOR_SHARPNESS * (shares - 0.5))
        return weights if self.selector == "sharpened" else weights / weights.sum(1, keepdim=True)

    def prior(self, encode: Encode) -> Distribution:
        """Return the marginals of the mixture of all q(z|x_u), of batch shape (D,)."""
        p = self.encode_pseudo_inputs(encode)
        of_latents = SpikeAndSlab(p.slab_prob.mT, p.loc.mT, p.scale.mT, validate_args=False)
        even = Categorical(logits=torch.zeros_like(of_latents.loc), validate_args=False)
        return MixtureSameFamily(even, of_latents, validate_args=False)

    def draw_prior(self, num: int, noise: Noise, encode: Encode) -> Tensor:  # -> (num, D)
        """Draw codes of the mixture: of each, first which pseudo-input's."""
        p = self.encode_pseudo_inputs(encode)
        chosen = (noise.uniform(num, 1).squeeze(1) * self.num_pseudo_inputs).long()
        of_chosen = SpikeAndSlab(p.slab_prob[chosen], p.loc[chosen], p.scale[chosen], validate_args=False)
        return self.draw(of_chosen, noise)

    def compute_log_ratio(self, q: Distribution, z: Tensor, encode: Encode) -> Tensor:  # (..., B, D) -> (..., B)
        """Compute log p(z) - log q(z|x), p the mixture."""
        of_each = self.encode_pseudo_inputs(encode).log_prob(z.unsqueeze(-2)).sum(-1)  # (..., B, U)
        return of_each.logsumexp(-1) - math.log(self.num_pseudo_inputs) - q.log_prob(z).sum(-1)

    def rate(self, q: Distribution, x: Tensor, encode: Encode, at: At | None = None) -> Tensor:
        """Compute the weighed KL of a training step; measured, an upper bound on the KL to the mixture."""
        assert isinstance(q, SpikeAndSlab)
        p = self.encode_pseudo_inputs(encode)
        clamp = self.find_clamp(at)
        each = SpikeAndSlab(q.slab_prob[:, None], q.loc[:, None], q.scale[:, None], validate_args=False)
        if clamp is None:
            log_gamma, log_spike = q.log_probs
            logs = (log_gamma[:, None], log_spike[:, None])
            each = SpikeAndSlab(each.slab_prob, each.loc, each.scale, log_probs=logs, validate_args=False)
        kl = compute_kl(each, p, clamp=clamp).sum(-1)  # (B, U)
        if at is not None:
            return (self.select(x) * kl).sum(1)
        return math.log(self.num_pseudo_inputs) - (-kl).logsumexp(1)

    def compute_sparsity(self, x: Tensor, encode: Encode) -> Tensor:  # (B, C, H, W) -> (B,)
        """Compute J KL(mean gamma of the pseudo-input || alpha) in nats per image, J the number of latents.

        each: of every pseudo-input, weighed by the selector. mixture: of the one mean over pseudo-inputs, so weighed.
        """
        assert isinstance(self.alpha, Tensor)
        weights, means = self.select(x), self.encode_pseudo_inputs(encode).slab_prob.mean(1)  # (B, U), (U,)
        with torch.autocast(x.device.type, enabled=False):  # in bf16 a probability above 0.998 is 1, its logarithm NaN
            match self.sparsity_of:
                case "each":
                    return self.latent_dim * weights @ _compute_bernoulli_kl(means, self.alpha[0])
                case "mixture":
                    return self.latent_dim * _compute_bernoulli_kl((weights @ means) / weights.sum(1), self.alpha[0])

    # The warm-up of the spikes

    def compute_lambda(self, step: int) -> float:
        """Compute lambda at a step (from 0): 0, then rising, then 1; of log_variance, as in the code, one step less."""
        length = self.warm_up_to - self.warm_up_from
        match self.warm_up:
            case "variance":
                most = 1.0
            case "log_variance":
                most = 1 - 1 / length if length else 1.0
            case _:
                assert_never(self.warm_up)
        if step >= self.warm_up_to:
            return most
        return min(max(step - self.warm_up_from, 0) / length, most) if length else 0.0

    def cool_slab(self, q: SpikeAndSlab, share: float) -> SpikeAndSlab:
        """Draw the slab to N(0, 1) by lambda, `share`, so that at 0 the spikes alone tell of the image."""
        match self.warm_up:
            case "variance":
                scale = (share * q.scale.square() + 1 - share).sqrt()
            case "log_variance":
                scale = q.scale**share
            case _:
                assert_never(self.warm_up)
        return SpikeAndSlab(q.slab_prob, share * q.loc, scale, validate_args=False)

    def estimate_distortion(self, q: Distribution, compute_nats: Decode, noise: Noise, at: At | None) -> Tensor:
        """Estimate it as spike-and-slab latents do, at a training step with the slab of the warm-up."""
        assert isinstance(q, SpikeAndSlab)
        if at is not None and (share := self.compute_lambda(at.step)) < 1:
            q = self.cool_slab(q, share)
        return super().estimate_distortion(q, compute_nats, noise, at)


def _compute_bernoulli_kl(prob: Tensor, alpha: Tensor) -> Tensor:
    """KL(Bernoulli(prob) || Bernoulli(alpha)), elementwise, for prob inside (0, 1)."""
    return prob * (prob / alpha).log() + (1 - prob) * (torch.log1p(-prob) - torch.log1p(-alpha))


def build(settings: TrialSettings) -> PseudoInputLatent:
    """Build the latent variables of a trial's model."""
    own = ("num_pseudo_inputs", "selector", "pseudo_gammas", "sparsity_of", "warm_up", "warm_up_from", "warm_up_to")
    return PseudoInputLatent(settings.latent_dim, **settings.pick(*own), **build_spike_and_slab_arguments(settings))
