"""Settings that do not go together, and what to say of it."""

from collections.abc import Iterator, Mapping
from typing import Any

from models.choices import NETWORKS, OF_DISCRIMINATORS, OF_PSEUDO_INPUTS
from models.setting import SETTINGS, applies, refuse_beside, value_of

UNLIKE_BINARY: Mapping[str, str] = {"pixel_scaling": "unit_norm", "randomness": "report"}
"""What does not go with binary pixels: of unit norm, intensities are no probabilities; the reproduction drew none."""


def refuse_binarisation(name: str) -> str:
    """Format the message for a user who binarises pixels under a setting of UNLIKE_BINARY."""
    fix = f"set {name}: {SETTINGS[name].metadata['default']}, or binarisation: none"
    return f"binarisation: pixels stay grey with {name}: {UNLIKE_BINARY[name]}; {fix}"


UNLIKE_DISCRIMINATORS: Mapping[str, str] = {"randomness": "report", "estimator": "disarm"}
"""What does not go with a discriminator: the reproduction drew no numbers for one, and DisARM estimates the gradient of
the distortion alone."""


def refuse_discriminator(name: str) -> str:
    """Format the message for a user who trains a discriminator under a setting of UNLIKE_DISCRIMINATORS."""
    value, fix = UNLIKE_DISCRIMINATORS[name], SETTINGS[name].metadata["default"]
    return f"{name}: {value} does not go with a discriminator; set {name}: {fix}, or a model without one"


def find_conflict(values: Mapping[str, Any]) -> str | None:
    """Find two settings that do not go together; return the message for a user, None if there are none."""
    return next(_list_conflicts(values), None)


def _list_conflicts(values: Mapping[str, Any]) -> Iterator[str]:
    for name, f in SETTINGS.items():
        if not applies(name, values) and values[name] != f.metadata["default"]:
            yield f"{name}: {refuse_beside(name, values)}"
    yield from _list_conflicts_of_likelihood(values)
    if values["binarisation"] != "none":
        yield from (refuse_binarisation(name) for name, value in UNLIKE_BINARY.items() if values[name] == value)
    if 0 < values["images_per_epoch"] < values["batch_size"]:
        yield f"images_per_epoch: fewer than a batch of {values['batch_size']}; give as many at least, or 0"
    if values["images_per_epoch"] and values["randomness"] == "report":
        yield "images_per_epoch: the reproduction trained on all images; set it to 0, or randomness: counter"
    if values["model"] in OF_PSEUDO_INPUTS:
        yield from _list_conflicts_of_pseudo_inputs(values)
    if values["model"] in OF_DISCRIMINATORS:
        unlike = UNLIKE_DISCRIMINATORS.items()
        yield from (refuse_discriminator(name) for name, value in unlike if values[name] == value)


def _list_conflicts_of_likelihood(values: Mapping[str, Any]) -> Iterator[str]:
    if count_outputs(values) > 1 and values["network"] not in NETWORKS.maps[-1]:
        network = values["network"]
        yield f"variance: the network {network} of a plug-in has one output a pixel; set variance: fixed or shared"
    if values["likelihood"] != "bernoulli" and values["randomness"] == "report":
        yield "randomness: the reproduction's pixels are Bernoulli; set randomness: counter, or likelihood: bernoulli"


def _list_conflicts_of_pseudo_inputs(values: Mapping[str, Any]) -> Iterator[str]:
    if values["warm_up_from"] > values["warm_up_to"]:
        yield f"warm_up_to: before warm_up_from, {values['warm_up_from']}; give as many steps at least"
    if values["warm_up"] == "log_variance" and values["warm_up_to"] - values["warm_up_from"] == 1:
        fix = f"give {values['warm_up_from'] + 2} at least, or warm_up_from: {values['warm_up_to']} to rise at once"
        yield f"warm_up_to: over a single step lambda stays at 0 with warm_up: log_variance; {fix}"
    if values["randomness"] == "report":
        yield "randomness: the reproduction has no pseudo-inputs; set randomness: counter, or model: vsc"


def count_outputs(values: Mapping[str, Any]) -> int:
    """Count the decoder's outputs for each pixel, by the settings that it depends on."""
    is_gaussian = value_of("likelihood", values) == "gaussian"
    return 2 if is_gaussian and value_of("variance", values) == "per_pixel" else 1
