"""What is known of a model's network before it is built. Imports no torch, so that the driver can ask."""

from collections.abc import Callable, Mapping

from models.networks import architectures, widths
from models.settings import ImageShape, TrialSettings

COUNTS: Mapping[str, Callable[[TrialSettings, ImageShape], int]] = {
    "mlp": widths.count_parameters,
    "conv": architectures.count_parameters,
}


def count_parameters(settings: TrialSettings, image_shape: ImageShape) -> int | None:
    """Count the weights and biases of encoder and decoder; None where only building them would tell.

    Raises:
        ValueError: one clause: the network does not fit such images.
    """
    count = COUNTS.get(settings.network)
    return None if count is None else count(settings, image_shape)
