"""What every training objective does."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from models.autoencoder import Autoencoder
from models.latents.latent import At
from models.randomness import Noise


@dataclass(frozen=True)
class Terms:
    """What an objective is made of, each (B,), nats per image."""

    rate: Tensor
    distortion: Tensor
    added: Mapping[str, Tensor] = field(default_factory=dict)  # terms besides; logged as train/<name>

    def to_double(self) -> "Terms":
        """The same in float64, for sums over many images."""
        return Terms(self.rate.double(), self.distortion.double(), {n: t.double() for n, t in self.added.items()})


class Objective(nn.Module, ABC):
    """What a step minimises by the parameters of the model.

    Parameters of its own, such as a discriminator's, are trained on `adversary_loss` by an Adam of their own.
    """

    adversary_learning_rate = 1e-4
    adversary_betas = (0.5, 0.9)

    @abstractmethod
    def terms(self, model: Autoencoder, x: Tensor, noise: Noise, at: At) -> Terms:
        """The terms of images x (B, C, H, W) in [0, 1]."""

    @abstractmethod
    def loss(self, terms: Terms) -> Tensor:
        """The loss, (): summed over the batch, not averaged.

        So it is in the report's code. Adam does not see the scale, but for its epsilon, which weighs on the small
        gradients of latents that are almost always off.
        """

    def adversary_loss(self, model: Autoencoder, x: Tensor, noise: Noise, at: At) -> Tensor | None:  # noqa: ARG002
        """What the objective's own parameters minimise, (); None where it has none."""
        return None
