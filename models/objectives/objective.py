"""The interface of all training objectives."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from models.autoencoder import Autoencoder
from models.latents.latent import At
from models.randomness import Noise


@dataclass(frozen=True)
class Terms:
    """The terms of an objective, each (B,), nats per image."""

    rate: Tensor
    distortion: Tensor
    added: Mapping[str, Tensor] = field(default_factory=dict)  # further terms by name; logged as train/<name>

    def to_double(self) -> "Terms":
        """Convert the terms to float64, for sums over many images."""
        return Terms(self.rate.double(), self.distortion.double(), {n: t.double() for n, t in self.added.items()})


class Objective(nn.Module, ABC):
    """A training objective, minimised over the parameters of the model.

    An objective may have parameters, such as a discriminator's. A second Adam trains them on `adversary_loss`.
    """

    has_schedule = False  # whether its terms depend on `At.step`
    adversary_learning_rate = 1e-4
    adversary_betas = (0.5, 0.9)

    @abstractmethod
    def terms(self, model: Autoencoder, x: Tensor, noise: Noise, at: At) -> Terms:
        """Compute the terms of images x (B, C, H, W) in [0, 1]."""

    @abstractmethod
    def loss(self, terms: Terms) -> Tensor:
        """Compute the loss, (): summed over the batch, not averaged.

        The code of "[Re] Variational Sparse Coding" sums as well. Adam ignores the scale of a gradient, except through
        epsilon, which matters for the small gradients of latents that are almost always off.
        """

    @property
    def has_adversary(self) -> bool:
        """Whether the objective has parameters of its own."""
        return any(True for _ in self.parameters())

    def adversary_loss(self, model: Autoencoder, x: Tensor, others: Tensor, noise: Noise, at: At) -> Tensor:
        """Compute the loss, (), that the objective's own parameters minimise; called only if it has some.

        x: the step's images (B, C, H, W) in [0, 1]. others: a second batch of as many training images.
        """
        raise NotImplementedError(f"{type(self).__name__} has parameters, and no loss that trains them")
