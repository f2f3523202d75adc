"""What a trial can be: its models and networks, and the choices of its settings."""

from collections import ChainMap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

Part = str | Callable[..., Any]
"""The name of a file in models/, whose function `build` builds the part; a plug-in's part is built by a function."""


class Parts(NamedTuple):
    """The parts that a model is put together from, besides its network."""

    latent: Part  # a file in models/latents/
    num_heads: int  # outputs of the encoder for each latent dimension
    objective: Part = "elbo"  # a file in models/objectives/
    plugin: str = ""  # SHA-256 of the plug-in that the model comes from, if any


class Network(NamedTuple):
    """A network: a pair of encoder and decoder."""

    build: Part  # a file in models/networks/
    plugin: str = ""  # SHA-256 of the plug-in that it comes from, if any


MODELS: ChainMap[str, Parts] = ChainMap(
    {},
    {
        "vae": Parts("gaussian", num_heads=2),
        "vsc": Parts("spike_and_slab", num_heads=3),
        "annealed_vae": Parts("gaussian", num_heads=2, objective="capacity"),
        "annealed_vsc": Parts("spike_and_slab", num_heads=3, objective="capacity"),
        "beta_tcvae": Parts("gaussian", num_heads=2, objective="total_correlation"),
        "factor_vae": Parts("gaussian", num_heads=2, objective="factor"),
        "factor_vsc": Parts("spike_and_slab", num_heads=3, objective="factor"),
        "vsc_iclr": Parts("spike_and_slab", num_heads=3),
        "vsc_uai_paper": Parts("pseudo_inputs", num_heads=3, objective="sparse_elbo"),
        "vsc_uai_code": Parts("pseudo_inputs", num_heads=3, objective="sparse_elbo"),
        "vsc_learned_alpha": Parts("learned_alpha", num_heads=3),
        "thresholded_vae": Parts("thresholded", num_heads=2, objective="base_elbo"),
    },
)
"""The models and their parts. To add one: a file for each new part, a row here, and its settings, with `of`, in
`models.settings`.

The first map, here and of networks, holds what plug-ins have added (`models.additions`)."""

NETWORKS: ChainMap[str, Network] = ChainMap({}, {"mlp": Network("mlp"), "conv": Network("conv")})
"""The networks that encode and decode."""

if TYPE_CHECKING:
    ModelName = str
    NetworkName = str
else:
    ModelName, NetworkName = Literal[tuple(MODELS)], Literal[tuple(NETWORKS)]
GammaLink = Literal["exp_relu", "sigmoid"]
KlFrom = Literal["gamma", "logits"]
Estimator = Literal["relaxed", "straight_through", "disarm"]
SharpnessSchedule = Literal["per_step", "per_epoch", "ramp", "constant"]
Selector = Literal["sharpened", "normalised", "soft"]
PseudoGammas = Literal["encoded", "sharpened"]
SparsityOf = Literal["each", "mixture"]
WarmUp = Literal["variance", "log_variance"]
BatchOrder = Literal["shuffled", "sequential"]
DropMoments = Literal["kept", "fresh"]
Precision = Literal["float32", "tf32", "bf16"]
PixelScaling = Literal["minmax", "unit_norm"]
Binarisation = Literal["none", "static", "dynamic"]
Activation = Literal["relu", "tanh"]
ArchitectureName = Literal["report", "locatello", "burgess"]
LikelihoodName = Literal["bernoulli", "gaussian"]
Variance = Literal["fixed", "shared", "per_pixel"]
Initialisation = Literal["kaiming", "xavier"]
Randomness = Literal["counter", "report"]
ImageShape = tuple[int, int, int]  # channels, height, width

OF_PSEUDO_INPUTS = ("vsc_uai_paper", "vsc_uai_code")
"""Models whose prior is made of pseudo-inputs."""

OF_LEARNED_ALPHA = ("vsc_learned_alpha",)
"""Models whose alpha is trained."""

OF_SPIKES = ("vsc", "annealed_vsc", "factor_vsc", "vsc_iclr", *OF_PSEUDO_INPUTS, *OF_LEARNED_ALPHA)
"""Models whose latents have a spike."""

OF_ALPHA = (*OF_SPIKES, "thresholded_vae")
"""Models whose codes have exact zeros."""

OF_CAPACITIES = ("annealed_vae", "annealed_vsc")
"""Models whose rate is drawn to a capacity."""

OF_DISCRIMINATORS = ("factor_vae", "factor_vsc")
"""Models whose objective has a discriminator."""
