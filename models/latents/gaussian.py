"""The variational autoencoder: a Gaussian posterior under a standard normal prior."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal

from models.autoencoder import Autoencoder
from models.networks.mlp import MLP
from models.settings import Initialisation


class VAE(Autoencoder):
    """Fully connected VAE (Kingma and Welling, Auto-Encoding Variational Bayes, 2014, appendix C)."""

    def __init__(
        self,
        num_pixels: int,
        hidden: Sequence[int],
        latent_dim: int,
        generator: torch.Generator | None,
        *,
        initialisation: Initialisation = "kaiming",
    ) -> None:
        """hidden: widths of the encoder's hidden layers; the decoder mirrors them."""
        super().__init__()
        self.latent_dim = latent_dim
        # One layer yields mu and log sigma^2: one product instead of two.
        encoder, decoder = [num_pixels, *hidden, 2 * latent_dim], [latent_dim, *reversed(hidden), num_pixels]
        self.encoder = MLP(encoder, generator, num_heads=2, initialisation=initialisation)
        self.decoder = MLP(decoder, generator, initialisation=initialisation)
        self.register_buffer("one", torch.ones(latent_dim), persistent=False)

    def posterior(self, x: Tensor) -> Normal:
        """q(z|x) = N(mu(x), sigma(x)^2)."""
        loc, log_var = self.encoder(x).chunk(2, dim=-1)
        return Normal(loc, (0.5 * log_var).exp(), validate_args=False)

    def prior(self) -> Normal:
        """p(z) = N(0, 1)."""
        assert isinstance(self.one, Tensor)
        return Normal(torch.zeros_like(self.one), self.one, validate_args=False)

    def draw(
        self,
        q: Distribution,
        generator: torch.Generator,
        *,
        sharpness: float | None = None,  # noqa: ARG002 (nothing to relax)
        sample_shape: tuple[int, ...] = (),
    ) -> Tensor:
        """Reparameterised samples; there is no spike, so relaxed and hard samples are one."""
        assert isinstance(q, Normal)
        shape = (*sample_shape, *q.loc.shape)
        eps = torch.randn(shape, generator=generator, dtype=q.loc.dtype, device=q.loc.device)
        return q.loc + q.scale * eps

    def slab_prob(self, q: Distribution) -> Tensor:
        """One everywhere: a Gaussian code is never zero."""
        assert isinstance(q, Normal)
        return torch.ones_like(q.loc)
