"""How every figure looks: one palette, one set of matplotlib settings, fixed in advance."""

import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_hex

# Okabe and Ito's palette, which colour-blind readers can tell apart. A model that is not listed here gets a spare
# colour by its name: the same in every figure, though another such model may have it too.
MODEL_COLOURS = {
    "vae": "#0072B2",
    "vsc": "#D55E00",
    "annealed_vae": "#332288",
    "annealed_vsc": "#AA4499",
    "beta_tcvae": "#117733",
    "factor_vae": "#999933",
    "factor_vsc": "#661100",
    "vsc_learned_alpha": "#44AA99",
    "thresholded_vae": "#CC6677",
}
SPARE_COLOURS = ("#009E73", "#CC79A7", "#56B4E9", "#000000")
MARKERS = ("o", "s", "<", "^", "D", "v", "P", "X", ">")
LEVELS = mpl.colormaps["cividis"]  # as readers without red or green see it too
FILLS = ("full", "none", "left", "top")
LINE_STYLES = ("-", "--", ":", "-.")

# None of these is a colour in MODEL_COLOURS.
SAMPLER_COLOURS = {
    "grid": "#999999",
    "random": "#000000",
    "quasirandom": "#56B4E9",
    "tpe": "#009E73",
    "gp": "#CC79A7",
    "cmaes": "#E69F00",
    "nsga2": "#882255",
}
SAMPLER_LABELS = {
    "quasirandom": "quasi-random",
    "tpe": "TPE",
    "gp": "Gaussian process",
    "cmaes": "CMA-ES",
    "nsga2": "NSGA-II",
}
SCHEDULER_STYLES = {"fifo": "-", "asha": "--", "hyperband": ":", "median": "-.", "pbt": (0, (6, 2, 1, 2, 1, 2))}
SCHEDULER_LABELS = {
    "fifo": "FIFO",
    "asha": "ASHA",
    "hyperband": "HyperBand",
    "median": "median stopping",
    "pbt": "PBT",
}

QUIET = "#666666"
MIN_CONTRAST = 4.5
RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "lines.linewidth": 1.8,
    "lines.markersize": 5.5,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "figure.dpi": 150,
    "pdf.fonttype": 42,  # TrueType: venues refuse papers with Type 3 fonts
}


@contextmanager
def drawing_style() -> Iterator[None]:
    """Draw with these settings instead of the user's matplotlibrc; leave matplotlib as it was."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(RC)
        yield


def model_colour(model: str) -> str:
    """The model's colour: the same in every figure and every study."""
    by_name = SPARE_COLOURS[zlib.crc32(model.encode()) % len(SPARE_COLOURS)]
    return MODEL_COLOURS.get(model, by_name)


def text_colour(colour: str) -> str:
    """The colour, darkened until letters in it stand out from white: a contrast of 4.5 to 1, as WCAG asks for."""
    red, green, blue = mpl.colors.to_rgb(colour)
    share = 1.0
    while contrast_to_white(to_hex((share * red, share * green, share * blue))) < MIN_CONTRAST:
        share *= 0.95
    return to_hex((share * red, share * green, share * blue))


def contrast_to_white(colour: str) -> float:
    """The ratio of luminances of white and a colour, from 1 to 21 (WCAG 2)."""
    parts = np.array(mpl.colors.to_rgb(colour))
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05))


def variant_colour(model: str, variant: int) -> str:
    """The colour of a model's further series (variant 1 and more), where line styles are taken."""
    spare = [colour for colour in SPARE_COLOURS if colour != model_colour(model)]
    return spare[(variant - 1) % len(spare)]


def level_colour(rank: int, num: int) -> str:
    """The colour of level `rank`, from 0, of `num` that are no models and no alphas: larger is lighter."""
    return to_hex(LEVELS(0.85 * rank / max(num - 1, 1)))  # white paper swallows the lightest


def sampler_label(sampler: str, scheduler: str) -> str:
    """How a study chose its trials, as it is written in figures."""
    return f"{SAMPLER_LABELS.get(sampler, sampler)}, {SCHEDULER_LABELS.get(scheduler, scheduler)}"


def sampler_look(sampler: str, scheduler: str) -> dict[str, Any]:
    """The colour of a sampler and the line style of a scheduler, the same in every figure and every study."""
    return {"color": SAMPLER_COLOURS.get(sampler, QUIET), "linestyle": SCHEDULER_STYLES.get(scheduler, "-")}


def tint(model: str, position: float) -> str:
    """A tint of the model's colour, from dark (0) through the colour itself (1/2) to light (1)."""
    colour = np.array(mpl.colors.to_rgb(model_colour(model)))
    ends = [0.4 * colour, colour, 1 - 0.4 * (1 - colour)]
    ramp = LinearSegmentedColormap.from_list(model, [tuple(end) for end in ends])
    return to_hex(ramp(position))


def alpha_position(alpha: float) -> float:
    """Where a prior probability lies from 0 to 1, on the scale of its log odds: 0.005 is 0, 0.9 is 1."""
    low, high = math.log(0.005 / 0.995), math.log(0.9 / 0.1)
    odds = math.log(alpha / (1 - alpha)) if 0 < alpha < 1 else math.copysign(math.inf, alpha - 0.5)
    return min(max((odds - low) / (high - low), 0.0), 1.0)


def series_colour(model: str, alpha: float) -> str:
    """The model's colour, as a tint if there is an alpha: smaller is darker."""
    return model_colour(model) if math.isnan(alpha) else tint(model, alpha_position(alpha))


def series_marker(alpha: float) -> str:
    """One marker per range of alpha, so that tints are not alone in telling series apart."""
    if math.isnan(alpha):
        return MARKERS[0]
    return MARKERS[1:][min(int(alpha_position(alpha) * 8), 7)]
