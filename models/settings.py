"""The settings of one trial, which a study varies: each with its meaning and its legal values.

"The reproduction" is the paper "[Re] Variational Sparse Coding".
"""

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields
from typing import TYPE_CHECKING, Any, Self, get_type_hints

from models.choices import (
    MODELS,
    NETWORKS,
    OF_ALPHA,
    OF_CAPACITIES,
    OF_DISCRIMINATORS,
    OF_PSEUDO_INPUTS,
    OF_SPIKES,
    Activation,
    ArchitectureName,
    BatchOrder,
    Binarisation,
    DropMoments,
    Estimator,
    GammaLink,
    Initialisation,
    KlFrom,
    LikelihoodName,
    ModelName,
    NetworkName,
    Parts,
    PixelScaling,
    Precision,
    PseudoGammas,
    Randomness,
    Selector,
    SharpnessSchedule,
    SparsityOf,
    Variance,
    WarmUp,
)
from models.illegal_settings import count_outputs, find_conflict
from models.setting import (
    MAX_FLOAT,
    MIN_FLOAT,
    MIN_PROB,
    SETTING_TYPES,
    SETTINGS,
    applies,
    belongs,
    check_setting,
    default_of,
    refuse_setting,
    setting,
)

SEMANTICS_VERSION = 3
"""Version of the training: raise it when the same settings train to other numbers, or old results are reused."""


@dataclass(frozen=True, kw_only=True)
class TrialSettings:
    """All that determines a trained model, except the images.

    Raises:
        ValueError: a value is of the wrong type or outside its range, or a setting does not belong to the model.
    """

    model: ModelName = setting(
        meaning="vae (Gaussian prior) or vsc (spike-and-slab prior); with another training objective annealed_vae, "
        "annealed_vsc (a capacity for the rate), beta_tcvae, factor_vae, factor_vsc (a weight on the total "
        "correlation); as first published vsc_iclr, vsc_uai_paper, vsc_uai_code; with a learned alpha "
        "vsc_learned_alpha; sparse by a threshold in place of gates thresholded_vae",
        example="vsc",
    )
    latent_dim: int = setting(meaning="number of latent dimensions", at_least=1, example=16)
    alpha: float | None = setting(
        meaning="VSC, thresholded_vae: prior probability that a latent is not zero; of a "
        "vsc_learned_alpha at its start",
        of=OF_ALPHA,
        at_least=MIN_PROB,
        at_most=1 - MIN_PROB,
        example=0.2,
    )
    gamma_link: GammaLink | None = setting(
        "exp_relu",
        meaning="VSC: how the encoder's output v becomes gamma: exp_relu, exp(-relu(-v)), as in the reproduction, or "
        "sigmoid; default exp_relu",
        of=OF_SPIKES,
    )
    gamma_clamp: float | None = setting(
        1e-6,
        meaning="VSC, where kl_from is gamma: least distance of gamma from 0 and 1 in the training objective's rate; "
        "without a clamp (0) the loss is NaN where gamma is 0 or 1; default 1e-6",
        of=OF_SPIKES,
        at_least=MIN_PROB,
        below=0.5,
        or_zero=True,
    )
    kl_from: KlFrom | None = setting(
        "gamma",
        meaning="VSC: what the logarithms of gamma and 1 - gamma in the training objective are computed from: gamma, "
        "clamped by gamma_clamp, as in the reproduction; or logits, the encoder's output, which needs no clamp: the "
        "loss is finite for every gamma; default gamma",
        of=OF_SPIKES,
    )
    sharpness: float | None = setting(
        50.0,
        meaning="VSC: sharpness of the relaxed spike at the start; default 50, as in the reproduction; of a "
        "vsc_uai_code 100",
        of=OF_SPIKES,
        defaults={"vsc_uai_code": 100.0},
        at_least=MIN_FLOAT,
        at_most=MAX_FLOAT,
    )
    sharpness_schedule: SharpnessSchedule | None = setting(
        "per_epoch",
        meaning="VSC: how the sharpness rises: per_step, by 0.001 (the reproduction's text), per_epoch, by 0.001 (its "
        "code), ramp, to 200 over the run (the original paper), or constant; default per_epoch, of a vsc_iclr or "
        "vsc_uai_paper ramp, of a vsc_uai_code constant",
        of=OF_SPIKES,
        defaults={"vsc_iclr": "ramp", "vsc_uai_paper": "ramp", "vsc_uai_code": "constant"},
    )
    estimator: Estimator | None = setting(
        "relaxed",
        meaning="VSC: how gradients pass the gates in training: relaxed, by relaxed gates, as in the reproduction; "
        "straight_through, by hard gates with the relaxed ones' gradient; or disarm, by pairs of hard gates, without "
        "bias, in two passes of the decoder; default relaxed",
        of=OF_SPIKES,
    )
    num_pseudo_inputs: int | None = setting(
        20,
        meaning="vsc_uai_*: number of pseudo-inputs, trained images whose posteriors are the prior; default 20, of a "
        "vsc_uai_code 10",
        of=OF_PSEUDO_INPUTS,
        at_least=1,
        defaults={"vsc_uai_code": 10},
    )
    selector: Selector | None = setting(
        "sharpened",
        meaning="vsc_uai_*: what weighs the pseudo-inputs of an image: sharpened, nearly one of them, as the "
        "paper writes it, where weights of nearly nothing cost nothing; normalised, the same with weights that sum to "
        "1; or soft, a mixture of all; default sharpened, of a vsc_uai_code soft",
        of=OF_PSEUDO_INPUTS,
        defaults={"vsc_uai_code": "soft"},
    )
    pseudo_gammas: PseudoGammas | None = setting(
        "encoded",
        meaning="vsc_uai_*: slab probabilities of pseudo-inputs: encoded, as of images, or sharpened, "
        "sigmoid(10 (gamma - 1/2)); default encoded, of a vsc_uai_code sharpened",
        of=OF_PSEUDO_INPUTS,
        defaults={"vsc_uai_code": "sharpened"},
    )
    sparsity_of: SparsityOf | None = setting(
        "each",
        meaning="vsc_uai_*: whose mean slab probability is drawn to alpha: each pseudo-input's, or that of their "
        "mixture; default each, of a vsc_uai_code mixture",
        of=OF_PSEUDO_INPUTS,
        defaults={"vsc_uai_code": "mixture"},
    )
    warm_up: WarmUp | None = setting(
        "variance",
        meaning="vsc_uai_*: how slabs become N(0, 1) while spikes are learned, by a lambda from 0 to 1: variance, "
        "lambda s^2 + 1 - lambda, or log_variance, s^(2 lambda); default variance, of a vsc_uai_code log_variance",
        of=OF_PSEUDO_INPUTS,
        defaults={"vsc_uai_code": "log_variance"},
    )
    warm_up_from: int | None = setting(
        15_000,
        meaning="vsc_uai_*: steps before lambda rises from 0; default 15000, of a vsc_uai_code 45000",
        of=OF_PSEUDO_INPUTS,
        at_least=0,
        defaults={"vsc_uai_code": 45_000},
    )
    warm_up_to: int | None = setting(
        20_000,
        meaning="vsc_uai_*: steps after which lambda no longer rises: at 1, or, with log_variance, one step's share "
        "below it; default 20000, of a vsc_uai_code 50000",
        of=OF_PSEUDO_INPUTS,
        at_least=0,
        defaults={"vsc_uai_code": 50_000},
    )
    drop_after: int | None = setting(
        20_000,
        meaning="vsc_uai_*: steps after which the learning rate is a tenth; default 20000, of a vsc_uai_code 45000",
        of=OF_PSEUDO_INPUTS,
        at_least=1,
        defaults={"vsc_uai_code": 45_000},
    )
    drop_moments: DropMoments | None = setting(
        "kept",
        meaning="vsc_uai_*: Adam's moments where the learning rate drops: kept, or fresh, of a second Adam; default "
        "kept, of a vsc_uai_code fresh",
        of=OF_PSEUDO_INPUTS,
        defaults={"vsc_uai_code": "fresh"},
    )
    batch_order: BatchOrder | None = setting(
        "shuffled",
        meaning="vsc_uai_*: training images of an epoch: shuffled, or sequential, as the dataset has them; default "
        "shuffled, of a vsc_uai_code sequential",
        of=OF_PSEUDO_INPUTS,
        defaults={"vsc_uai_code": "sequential"},
    )
    pixel_scaling: PixelScaling = setting(
        "minmax",
        meaning="how bytes become pixels: minmax, divided by 255, or unit_norm, by the image's Euclidean norm",
    )
    binarisation: Binarisation = setting(
        "none",
        meaning="whether grey pixels become black or white, white with their intensity as probability: none; static, "
        "drawn once, by the seed; or dynamic, drawn anew in each epoch; what is measured is then binarised once, the "
        "same for all trials",
    )
    initialisation: Initialisation = setting(
        "kaiming", meaning="how weights are drawn: kaiming, uniform, as torch's default, or xavier, Glorot's uniform"
    )
    likelihood: LikelihoodName = setting(
        "bernoulli",
        meaning="p(image given code): bernoulli, whose probabilities grey pixels are taken for, as in the "
        "reproduction; or gaussian, a density of intensities, whose bounds compare with no other's",
    )
    variance: Variance = setting(
        "per_pixel",
        meaning="gaussian: variance of the pixels: per_pixel, a second output of the decoder for each, as in the "
        "original paper; shared, one learned number; or fixed",
        only_with=("likelihood", "gaussian"),
    )
    pixel_sd: float = setting(
        0.1,
        meaning="gaussian: standard deviation of the pixels' intensities where the variance is fixed; where it is "
        "shared, that of the start is sqrt(pixel_sd^2 + 1e-6)",
        at_least=1e-6,
        at_most=1e6,
        only_with=("variance", "fixed", "shared"),
    )
    beta: float = setting(
        1.0,
        meaning="weight of the rate in the training objective; in a beta_tcvae of the total correlation, a part of the "
        "rate; in an annealed_vae or annealed_vsc of the rate's distance from its capacity",
        at_least=MIN_FLOAT,
        at_most=MAX_FLOAT,
    )
    capacity: float | None = setting(
        25.0,
        meaning="annealed_vae, annealed_vsc: nats per image that the rate is drawn to in the end; default 25",
        of=OF_CAPACITIES,
        at_least=MIN_FLOAT,
        at_most=MAX_FLOAT,
        or_zero=True,
    )
    capacity_steps: int | None = setting(
        100_000,
        meaning="annealed_vae, annealed_vsc: steps over which the capacity rises from 0; default 100000",
        of=OF_CAPACITIES,
        at_least=1,
    )
    tc_weight: float | None = setting(
        meaning="factor_vae, factor_vsc: weight of the total correlation in the training objective, the gamma of "
        "Kim and Mnih",
        of=OF_DISCRIMINATORS,
        at_least=MIN_FLOAT,
        at_most=MAX_FLOAT,
        or_zero=True,
        example=10,
    )
    discriminator_width: int | None = setting(
        1000,
        meaning="factor_vae, factor_vsc: width of each of the discriminator's six hidden layers; default 1000",
        of=OF_DISCRIMINATORS,
        at_least=1,
    )
    network: NetworkName = setting(
        "mlp", meaning="network of encoder and decoder: mlp, fully connected, or conv, convolutional"
    )
    hidden: tuple[int, ...] = setting(
        (400,), meaning="mlp: widths of the encoder's hidden layers", at_least=1, not_with=("network", "conv")
    )
    activation: Activation = setting(
        "relu", meaning="mlp: what follows each hidden layer: relu or tanh", not_with=("network", "conv")
    )
    architecture: ArchitectureName = setting(
        "report",
        meaning="conv: its layers: report, as in the reproduction's code; locatello, as in Locatello et al. (2019); or "
        "burgess, as in Burgess et al. (2018)",
        only_with=("network", "conv"),
    )
    learning_rate: float = setting(1e-3, meaning="Adam's step size", at_least=MIN_FLOAT, at_most=MAX_FLOAT)
    batch_size: int = setting(32, meaning="training images per step", at_least=1)
    epochs: int = setting(11, meaning="passes over the training images", at_least=1)
    images_per_epoch: int = setting(
        0,
        meaning="training images that an epoch passes over, drawn anew for each, where a pass over all would be "
        "long; 0: all of them",
        at_least=0,
    )
    precision: Precision = setting(
        "float32",
        meaning="precision of the matrix products in training: float32; tf32, float32 that a GPU rounds to 10 bits "
        "before it multiplies; or bf16, faster where the processor has it",
    )
    randomness: Randomness = setting(
        "counter",
        meaning="batch order and noise in training: counter, each number from the seed, the epoch and its place; or "
        "report, torch's one generator, in the order of the reproduction's code, on the CPU only",
    )
    num_validation: int = setting(
        0,
        meaning="training images held out to choose settings by, stratified by class where the dataset is in memory",
        at_least=0,
    )
    seed: int = setting(0, meaning="seed of initialisation, batch order and noise", at_least=0)

    own: tuple[tuple[str, Any], ...] = ()  # what a plug-in's model has besides, by name; read as attributes, too

    def __post_init__(self) -> None:
        model, own = check_setting("model", self.model), dict(self.own)
        for name in own:
            if name not in SETTINGS:
                raise ValueError(f"{name}: no model has such a setting; remove it")
        values = {name: getattr(self, name, None) for name in SETTINGS}
        for name, f in SETTINGS.items():
            if f.metadata["of"] and values[name] is None and default_of(name, model) is not MISSING:
                values[name] = default_of(name, model)
        for name in SETTINGS:
            values[name] = check_setting(name, values[name])
        for name, f in SETTINGS.items():
            if not belongs(name, model) and values[name] is not None:
                raise ValueError(f"{name}: {refuse_setting(name, model)}")
            if belongs(name, model) and values[name] is None:
                raise ValueError(f"{name}: a {model} needs one; give one such as {f.metadata['example']}")
        if conflict := find_conflict(values):
            raise ValueError(conflict)
        own = {name: values.pop(name) for name in sorted(values.keys() - FIELDS)}
        for name, checked in values.items():
            object.__setattr__(self, name, checked)
        object.__setattr__(self, "own", tuple((name, v) for name, v in own.items() if v is not None))

    if not TYPE_CHECKING:  # a type checker would then know every name

        def __getattr__(self, name: str) -> Any:
            """A setting of a plug-in's model; None where another plug-in's model has it."""
            if not name.startswith("__") and name != "own":  # of which an object that is being unpickled has none yet
                own = dict(self.own)
                if name in own or name in SETTINGS:
                    return own.get(name)
            raise AttributeError(f"a {type(self).__name__} has no {name}")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make settings of their names and values, as `to_dict` returns them."""
        own = {name: value for name, value in values.items() if name not in FIELDS}
        return cls(**{name: value for name, value in values.items() if name in FIELDS}, own=tuple(own.items()))

    @property
    def parts(self) -> Parts:
        """The parts that the model is put together from."""
        return MODELS[self.model]

    @property
    def outputs_per_pixel(self) -> int:
        """The decoder's outputs for each pixel: one, or two where it gives the variance as well."""
        return count_outputs({"likelihood": self.likelihood, "variance": self.variance})

    @property
    def plugins(self) -> tuple[str, ...]:
        """SHA-256 of each plug-in that the model or its network comes from, sorted."""
        return tuple(sorted({self.parts.plugin, NETWORKS[self.network].plugin} - {""}))

    @property
    def depends_on_length(self) -> bool:
        """Whether the first epochs train otherwise if more epochs are to follow."""
        return self.sharpness_schedule == "ramp"

    def pick(self, *names: str) -> dict[str, Any]:
        """Return some settings by name; the model must have each of them."""
        values = {name: getattr(self, name) for name in names}
        assert None not in values.values()
        return values

    def count_images(self, num_train: int) -> int:
        """How many of the training images an epoch passes over."""
        return min(self.images_per_epoch or num_train, num_train)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, without the settings that mean nothing in this model, with this network."""
        values = {name: getattr(self, name) for name in FIELDS}
        plain = {name: v for name, v in values.items() if v is not None and applies(name, values)}
        return {name: list(v) if isinstance(v, tuple) else v for name, v in (plain | dict(self.own)).items()}


FIELDS: Mapping[str, Field[Any]] = {f.name: f for f in fields(TrialSettings) if f.name != "own"}
"""Our own settings."""

SETTINGS.maps[-1].update(FIELDS)
SETTING_TYPES.maps[-1].update(get_type_hints(TrialSettings))

DEFAULTS: Mapping[str, Any] = {
    name: list(value) if isinstance(value, tuple) else value
    for name, f in FIELDS.items()
    if (value := f.metadata["default"]) is not MISSING
}
"""The default of each setting, as in `TrialSettings.to_dict`. To change one, raise SEMANTICS_VERSION."""

DECIDING = tuple(
    sorted({c[0] for f in FIELDS.values() for c in (f.metadata["only_with"], f.metadata["not_with"]) if c})
)
"""The settings that decide whether others mean something."""
