"""The variational autoencoder, put together from its parts: encoder, latent, decoder and likelihood."""

from typing import NamedTuple

from torch import Tensor, nn
from torch.distributions import Distribution

from models.choices import PixelScaling
from models.latents.latent import At, Latent
from models.likelihoods import Likelihood
from models.pixels import to_pixels
from models.randomness import Noise


class Elbo(NamedTuple):
    """The two terms of the evidence lower bound, each (B,) nats per image: ELBO = -(rate + distortion)."""

    rate: Tensor  # KL(q(z|x) || p(z))
    distortion: Tensor  # -E_q log p(x|z), estimated from samples


class ElboAndCodes(NamedTuple):
    """The two terms, with the posterior q(z|x), of batch shape (B, D), and the codes that the distortion is of."""

    elbo: Elbo
    q: Distribution
    z: Tensor  # (B, D); by DisARM (2, B, D), with antithetic gates


class Autoencoder(nn.Module):
    """A variational autoencoder of images (B, C, H, W), by the parts that it is given."""

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        latent: Latent,
        likelihood: Likelihood,
        *,
        pixel_scaling: PixelScaling = "minmax",
    ) -> None:
        """encoder: images (B, C, H, W) -> heads (B, H, D). decoder: codes (..., D) -> outputs (..., C, H, W), twice as
        many channels where the likelihood takes two outputs for each pixel.
        """
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.latent = latent
        self.likelihood = likelihood
        self.pixel_scaling = pixel_scaling

    @property
    def latent_dim(self) -> int:
        """The number of latent dimensions, D."""
        return self.latent.latent_dim

    def to_pixels(self, images: Tensor) -> Tensor:  # (N, C, H, W) uint8 -> (N, C, H, W) float32
        """Convert bytes to the intensities that the model sees, in [0, 1]."""
        return to_pixels(images.flatten(1), self.pixel_scaling).view(images.shape)

    def encode(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, H, D)
        """Compute the encoder's heads, in the precision of x even where the products have a lower one."""
        heads: Tensor = self.encoder(x)
        return heads.to(x.dtype)

    def make_outputs(self, z: Tensor) -> Tensor:  # (..., D) -> (..., outputs, H, W)
        """Compute the likelihood's parameters, in the precision of z even where the products have a lower one."""
        outputs: Tensor = self.decoder(z)
        return outputs.to(z.dtype)

    def posterior(self, x: Tensor) -> Distribution:
        """Compute q(z|x), of batch shape (B, D), for images x (B, C, H, W) in [0, 1]."""
        return self.latent.posterior(self.encode(x))

    def prior(self) -> Distribution:
        """Return p(z), of batch shape (D,)."""
        return self.latent.prior(self.encode)

    def draw_prior(self, num: int, noise: Noise) -> Tensor:  # -> (num, D)
        """Draw hard samples of the prior."""
        return self.latent.draw_prior(num, noise, self.encode)

    def compute_log_ratio(self, q: Distribution, z: Tensor) -> Tensor:  # (..., B, D) -> (..., B)
        """Compute log p(z) - log q(z|x) of hard samples z, in nats."""
        return self.latent.compute_log_ratio(q, z, self.encode)

    def draw(self, q: Distribution, noise: Noise, at: At | None = None) -> Tensor:
        """Draw a sample of each element of q: relaxed at a training step, hard (with exact zeros) if `at` is None."""
        return self.latent.draw(q, noise, at)

    def compute_rate(self, q: Distribution, x: Tensor, at: At | None = None) -> Tensor:
        """Compute KL(q || p) in nats per image, (B,): as in the objective of a training step, exact if `at` is None.

        Of a prior that is a mixture (vsc_uai_*) it is an upper bound then.
        """
        return self.latent.rate(q, x, self.encode, at)

    def compute_distortion(self, z: Tensor, x: Tensor) -> Tensor:
        """Compute -log p(x|z) in nats per image, (..., B), for codes z (..., B, D) and images x (B, C, H, W)."""
        return self.likelihood.nats(self.make_outputs(z), x)

    def decode(self, z: Tensor) -> Tensor:  # (..., D) -> (..., C, H, W)
        """Compute the mean of p(x|z), intensities in [0, 1]."""
        return self.likelihood.picture(self.make_outputs(z))

    def compute_elbo(self, x: Tensor, noise: Noise, at: At | None = None) -> Elbo:
        """Compute the rate and, from samples, the distortion of images x (B, C, H, W), each (B,)."""
        return self.compute_elbo_and_codes(x, noise, at).elbo

    def compute_elbo_and_codes(self, x: Tensor, noise: Noise, at: At | None = None) -> "ElboAndCodes":
        """Compute the same, and return what it was computed from, for objectives that weigh more than the bound."""
        q = self.posterior(x)
        drawn: list[Tensor] = []

        def compute_nats(z: Tensor) -> Tensor:
            drawn.append(z)
            return self.compute_distortion(z, x)

        distortion = self.latent.estimate_distortion(q, compute_nats, noise, at)
        return ElboAndCodes(Elbo(self.compute_rate(q, x, at), distortion), q, drawn[0])
