"""How things are written for a reader: numbers, units, models and settings, tables in Markdown."""

import difflib
import json
import math
import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

ALPHA = "α"  # noqa: RUF001  (a Greek letter, meant as one)
BASELINE = "vae"  # the model that others are compared with
MODEL_LABELS = {
    "vae": "VAE",
    "vsc": "VSC",
    "annealed_vae": "AnnealedVAE",
    "annealed_vsc": "AnnealedVSC",
    "beta_tcvae": "β-TCVAE",
    "factor_vae": "FactorVAE",
    "factor_vsc": "FactorVSC",
    "vsc_iclr": "VSC (ICLR)",
    "vsc_uai_paper": "VSC (UAI, paper)",
    "vsc_uai_code": "VSC (UAI, code)",
    "vsc_learned_alpha": "VSC (learns α)",  # noqa: RUF001
    "thresholded_vae": "thresholded VAE",
}
"""Others are written by their name."""
OF_PSEUDO_INPUTS = ("vsc_uai_paper", "vsc_uai_code")
"""Models whose prior is made of pseudo-inputs: it has no closed form, and what they are trained on is no bound."""
OWN_PRIORS = (*OF_PSEUDO_INPUTS, "vsc_learned_alpha")
"""Models whose setting alpha is not the prior's: gates are drawn to it, or a trained one starts there."""
SLUG = re.compile(r"[a-z0-9]+([_-][a-z0-9]+)*")  # the names of studies and of claims
OF_IMAGES = ("dataset", "pixel_scaling", "binarisation")  # what images are, and so the entropy floor of bounds on them
OF_BOUNDS = (*OF_IMAGES, "likelihood")  # what bounds mean: where trials differ in one, theirs cannot be compared

MOST_DECIMALS = 4

NATS = "nats per image"
POINTS = "points"  # percentage points
EACH_TRIAL = "Each trial on its own, no means."
ONE_SEED = "One seed: no interval."


def find_near(name: str, known: Iterable[str]) -> str | None:
    """The one of the known names that another may have been meant as; None if it is like none."""
    return next(iter(difflib.get_close_matches(name.lower(), known, n=1)), None)


def suggest(name: str, known: Iterable[str]) -> str:
    """The fix for a name that is none of those known: the one that it is like, or all of them."""
    known = list(known)
    near = find_near(name, known)
    return f"did you mean {near}?" if near else f"use one of {', '.join(known)}"


def decimal(value: float, decimals: int = 1) -> str:
    """The number with a proper minus sign, which zero never has."""
    rounded = round(value, decimals) + 0.0  # -0.0 + 0.0 is 0.0
    return with_minus(f"{rounded:.{decimals}f}")


def with_minus(number: str) -> str:
    """A number as it is written, with a proper minus sign if it is negative; an exponent keeps its hyphen."""
    return f"\N{MINUS SIGN}{number[1:]}" if number.startswith("-") else number


def with_sign(value: float) -> str:
    """The number with two decimals and its sign, also of what is positive."""
    return ("+" if value > 0 else "") + decimal(value, 2)


def with_interval(mean: float, low: float, high: float) -> str:
    """The mean and, where there is one, its interval, such as "38.3 (30.1 to 46.6)": everywhere in one way.

    Two digits of the interval's half-width are given, in at most MOST_DECIMALS decimals; without an interval one
    decimal, or two digits of a mean below 1.
    """
    if not math.isfinite(high - low):
        return decimal(mean, count_decimals(mean, most=MOST_DECIMALS) if 0 < abs(mean) < 1 else 1)
    decimals = 2 if high == low else count_decimals((high - low) / 2, most=MOST_DECIMALS)
    return f"{decimal(mean, decimals)} ({decimal(low, decimals)} to {decimal(high, decimals)})"


def signed(mean: float, low: float, high: float) -> str:
    """A difference with its interval, with a plus where it is positive."""
    return ("+" if mean > 0 else "") + with_interval(mean, low, high)


def count_decimals(size: float, *, most: int) -> int:
    """The decimals that show two digits of a number, as an interval's half-width, at most `most`; all of 0."""
    return most if size == 0 else min(most, max(0, 1 - math.floor(math.log10(abs(size)))))


def format_p(p: float) -> str:
    """A p with two digits, as "= 0.012" or "< 0.0001"."""
    return "< 0.0001" if p < 1e-4 else f"= {p:.2g}"


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def short_value(value: Any, digits: int = 3) -> str:
    """A setting's value as it is written in a label or on a tick: whole numbers in full."""
    if not isinstance(value, float):
        return str(value)
    return str(int(value)) if value.is_integer() else f"{value:.{digits}g}"


def fewest_digits(write: Callable[[int], list[str]], num_different: int) -> list[str]:
    """What `write` makes with as few digits as tell so many texts apart, or else with all digits."""
    texts: list[str] = []
    for digits in (3, 6, 17):
        texts = write(digits)
        if len(set(texts)) == num_different:
            break
    return texts


def plural(num: int, noun: str) -> str:
    """The number with its noun, as in "1 seed" and "3 studies"."""
    many = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{num:,} {noun if num == 1 else many}"


def span(low: int, high: int, noun: str = "") -> str:
    """How many, or from how many to how many: "3 epochs", "1 to 3 epochs" and, without a noun, "1 to 3"."""
    least = "" if low == high else f"{low:,} to "
    return least + (plural(high, noun) if noun else f"{high:,}")


def exact_value(value: Any) -> str:
    """A setting's value with as few digits as tell it from every other."""
    if not isinstance(value, float):
        return str(value)
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


VALUE_LABELS = {
    ("gamma_link", "exp_relu"): "the report's link",
    ("gamma_link", "sigmoid"): "sigmoid link",
    ("kl_from", "gamma"): "KL from γ",  # noqa: RUF001
    ("kl_from", "logits"): "KL from logits",
    ("sharpness_schedule", "per_step"): "sharpness rises per step",
    ("sharpness_schedule", "per_epoch"): "sharpness rises per epoch",
    ("sharpness_schedule", "ramp"): "sharpness rises to 200",
    ("estimator", "relaxed"): "relaxed",
    ("estimator", "straight_through"): "straight-through",
    ("estimator", "disarm"): "DisARM",
    ("pixel_scaling", "minmax"): "pixels from 0 to 1",
    ("pixel_scaling", "unit_norm"): "images of unit norm",
    ("initialisation", "kaiming"): "Kaiming",
    ("initialisation", "xavier"): "Xavier",
}
"""Of settings, where a name in a study file is no word."""


def value_label(name: str, value: Any) -> str:
    """What a setting is set to, as a reader says it: a word speaks for itself, a number or width has the name, too."""
    if name == "gamma_clamp":
        return "no clamp" if value == 0 else f"clamp {short_value(float(value))}"
    if name == "hidden":
        widths = json.loads(value)
        is_even = len(widths) > 1 and len(set(widths)) == 1
        return f"hidden {len(widths)} × {widths[0]}" if is_even else f"hidden {value[1:-1]}"  # noqa: RUF001
    if isinstance(value, int | float):
        return f"{setting_label(name)} {value:g}"
    return VALUE_LABELS.get((name, str(value)), str(value))


def setting_label(name: str) -> str:
    """A setting's name as a reader says it; that of a metric stays as it is."""
    return {"alpha": ALPHA, "beta": "β", "latent_dim": "latent dimension", "tc_weight": "TC weight"}.get(
        name, name if "/" in name else name.replace("_", " ")
    )


def dataset_label(dataset: str) -> str:
    """A dataset as readers call it."""
    return {"mnist": "MNIST", "fashion-mnist": "Fashion-MNIST"}.get(dataset, dataset)


def model_label(model: str) -> str:
    """The model's name as it is written in figures."""
    return MODEL_LABELS.get(model, model.replace("_", " "))


def configuration_label(
    settings: Mapping[Hashable, Any], names: Iterable[str], write: Callable[[Any], str] = short_value
) -> str:
    """The model with some of its settings, such as "VSC, alpha = 0.01", with the Greek letter.

    settings: by name, the model among them; one that the model does not have is None or NaN, and left out. A value that
    has words of its own, such as DisARM, is told by these.
    """

    def tell(name: str) -> str:
        value = settings[name]
        return VALUE_LABELS.get((name, str(value)), f"{setting_label(name)} = {write(value)}")

    given = [name for name in names if name != "model" and not _is_missing(settings[name])]
    return ", ".join([model_label(str(settings["model"])), *map(tell, given)])


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
