"""How many parameters a model has, and whether its network fits the images, before it is built.

Imports no torch, so that the driver can ask.
"""

from collections.abc import Callable, Mapping
from math import prod

from models.choices import OF_LEARNED_ALPHA, ImageShape
from models.networks import architectures, widths
from models.settings import TrialSettings

COUNTS: Mapping[str, Callable[[TrialSettings, ImageShape], int]] = {
    "mlp": widths.count_parameters,
    "conv": architectures.count_parameters,
}


def count_parameters(settings: TrialSettings, image_shape: ImageShape) -> int | None:
    """Count the weights and biases of a model; None where only building its network would tell.

    Raises:
        ValueError: one clause: the network does not fit such images.
    """
    count = COUNTS.get(settings.network)
    return None if count is None else count(settings, image_shape) + _count_of_latents(settings, image_shape)


def _count_of_latents(settings: TrialSettings, image_shape: ImageShape) -> int:
    """Count the pseudo-inputs and their selector's parameters, and a learned alpha."""
    of_pseudo_inputs = (settings.num_pseudo_inputs or 0) * (2 * prod(image_shape) + 1)
    return of_pseudo_inputs + (settings.model in OF_LEARNED_ALPHA)
