"""The models whose training is timed, each on images of the size that it was made for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from models.choices import ImageShape
from models.settings import TrialSettings

ALPHA = 0.01  # at which most latents turn off, and denormal numbers occur


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A VSC, and the images that it is timed on."""

    words: str  # what a reader calls it
    image_shape: ImageShape
    num_images: int  # in an epoch
    latent_dim: int
    settings: Mapping[str, Any] = field(default_factory=dict)  # besides, as TrialSettings has them

    def make_settings(self, **changes: Any) -> TrialSettings:
        """The settings of a trial."""
        given = {"latent_dim": self.latent_dim, **self.settings, **changes}
        return TrialSettings(model="vsc", alpha=ALPHA, **given)


SUBJECTS: Mapping[str, Subject] = {
    "mnist": Subject(
        words="VSC 784-400-200 on images the size of MNIST's",
        image_shape=(1, 28, 28),
        num_images=60_000,
        latent_dim=200,
        settings={"hidden": (400,)},
    ),
    "celeba": Subject(
        words="VSC 3072-2000-2000-800 on images the size of the reproduction's CelebA",
        image_shape=(3, 32, 32),
        num_images=100_000,
        latent_dim=800,
        settings={"hidden": (2000, 2000)},
    ),
    "conv": Subject(
        words="the reproduction's convolutional VSC, 200 latents, on images of 3 x 64 x 64",
        image_shape=(3, 64, 64),
        num_images=100_000,
        latent_dim=200,
        settings={"network": "conv"},
    ),
}
"""By name. The first is the reproduction's largest on MNIST, which the plain loop trains, too."""

MNIST = SUBJECTS["mnist"]
