"""Variational Sparse Coding: a spike-and-slab posterior under a spike-and-slab prior."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution

from models.autoencoder import Autoencoder
from models.latents.distributions import MIN_PROB, SpikeAndSlab, compute_kl
from models.networks.mlp import MLP
from models.settings import GammaLink, Initialisation


class VSC(Autoencoder):
    """Fully connected VSC (Tonolini et al., 2019), with the networks of the report (section 3)."""

    def __init__(
        self,
        num_pixels: int,
        hidden: Sequence[int],
        latent_dim: int,
        generator: torch.Generator | None,
        *,
        alpha: float,
        gamma_link: GammaLink,
        gamma_clamp: float = MIN_PROB,
        initialisation: Initialisation = "kaiming",
    ) -> None:
        """hidden: widths of the encoder's hidden layers; the decoder mirrors them. alpha: prior P(z != 0).

        gamma_clamp: how far gamma stays from 0 and 1 in the logarithms of the training objective.
        """
        super().__init__()
        self.latent_dim = latent_dim
        self.gamma_link = gamma_link
        self.gamma_clamp = gamma_clamp
        # One layer yields mu, log sigma^2 and the pre-activation of gamma: one product instead of three.
        encoder, decoder = [num_pixels, *hidden, 3 * latent_dim], [latent_dim, *reversed(hidden), num_pixels]
        self.encoder = MLP(encoder, generator, num_heads=3, initialisation=initialisation)
        self.decoder = MLP(decoder, generator, initialisation=initialisation)
        self.register_buffer("alpha", torch.full((latent_dim,), alpha), persistent=False)

    def posterior(self, x: Tensor) -> SpikeAndSlab:
        """q(z|x), with gamma = exp(-relu(-v)) as in the report's code (it reaches exactly 1), or sigmoid(v)."""
        loc, log_var, v = self.encoder(x).chunk(3, dim=-1)
        gamma = (-(-v).relu()).exp() if self.gamma_link == "exp_relu" else v.sigmoid()
        return SpikeAndSlab(gamma, loc, (0.5 * log_var).exp(), validate_args=False)

    def prior(self) -> SpikeAndSlab:
        """p(z) = alpha N(0, 1) + (1 - alpha) delta(0) in every latent."""
        assert isinstance(self.alpha, Tensor)
        return SpikeAndSlab(self.alpha, torch.zeros_like(self.alpha), torch.ones_like(self.alpha), validate_args=False)

    def compute_rate(self, q: Distribution) -> Tensor:
        """The objective's KL(q || p) with gamma clamped as the trial says, (B,)."""
        assert isinstance(q, SpikeAndSlab)
        return compute_kl(q, self.prior(), min_prob=self.gamma_clamp).sum(-1)

    def draw(
        self,
        q: Distribution,
        generator: torch.Generator,
        *,
        sharpness: float | None = None,
        sample_shape: tuple[int, ...] = (),
    ) -> Tensor:
        """Relaxed samples at a sharpness, hard ones (exact zeros) without."""
        assert isinstance(q, SpikeAndSlab)
        if sharpness is None:
            return q.sample(sample_shape, generator=generator)
        return q.rsample_relaxed(sharpness, sample_shape, generator=generator)

    def slab_prob(self, q: Distribution) -> Tensor:
        """The posterior's gamma."""
        assert isinstance(q, SpikeAndSlab)
        return q.slab_prob
