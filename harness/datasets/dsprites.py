"""dsprites: a square, an ellipse or a heart in every scale, orientation and position, drawn here.

Matthey, Higgins, Hassabis and Lerchner, dSprites: Disentanglement testing Sprites dataset (2017): 737,280 black and
white images of 64x64, one for each combination of five factors. The published file is not needed: the geometry below
was read off 160 of its frames, of which it misses at most 4 pixels each.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from harness.datasets.factors import Classes, Factors, Indices
from harness.datasets.packed import ImageArray

Side = Literal[32, 64]

FULL_SIDE: Final = 64  # pixels of the published images

FACTORS = Factors(
    names=("shape", "scale", "orientation", "x", "y"),
    values=(
        ("square", "ellipse", "heart"),
        tuple((5 + k) / 10 for k in range(6)),
        tuple(2 * math.pi * k / 39 for k in range(40)),  # radians; the last is a whole turn, the same as the first
        tuple(k / 31 for k in range(32)),
        tuple(k / 31 for k in range(32)),
    ),
)
"""The factors in the order of the published file."""

# In pixels at scale 1, about the centre of the sprite.
HALF_SQUARE = 9.6
ELLIPSE_RADII = 12.76, 7.22
HEART_CENTRE = -3.0
# Distance of the heart's outline from (0, HEART_CENTRE) at equal steps of the angle from straight up to straight down.
HEART_RADII = (
    1.97, 3.33, 4.78, 6.09, 7.15, 8.02, 8.62, 9.12, 9.45, 9.7, 9.73, 9.71, 9.48, 9.22, 8.88, 8.56, 8.32, 8.15, 8.07,
    8.13, 8.31, 8.62, 9.23, 10.18, 12.05,
)  # fmt: skip
REACH = 14  # no sprite reaches further from the pixel that holds its centre

CHUNK = 4_096  # images drawn at once

NUM_TEST = 10_000
SPLIT_SEED = 20190103


def list_images() -> Indices:  # -> (737280,)
    """List the images of FACTORS in the order of the dataset: shuffled, the last 10,000 for the test."""
    # PCG64's raw draws, because NumPy guarantees that they never change.
    return np.argsort(np.random.PCG64(SPLIT_SEED).random_raw(FACTORS.num_images), kind="stable")


@dataclass(frozen=True)
class SpriteMap:
    """What the sprites at one size are, whoever draws them: see MapSpec.

    The published ones have no split: ten thousand images are held out for the test.
    """

    name: str
    side: Side
    num_train: int = field(default=FACTORS.num_images - NUM_TEST, kw_only=True)
    num_test: int = field(default=NUM_TEST, kw_only=True)

    is_packed = True
    attributes = FACTORS.names
    factors = FACTORS.names
    label = "shape"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        return 1, self.side, self.side


@dataclass(frozen=True)
class Sprites(SpriteMap):
    """The dataset as it is drawn here."""

    sha256: str | None

    verb = "drawn"
    num_at_once = CHUNK

    @property
    def content_hash(self) -> str:
        """See Dataset.content_hash."""
        return self.sha256 or f"{self.num_train} sprites of side {self.side}"

    def find_painter(self, data_dir: Path | None) -> "Sprites":  # noqa: ARG002
        """See MapSpec: these images are drawn of nothing."""
        return self

    def paint(self, numbers: range, images: ImageArray, attributes: NDArray[np.uint8]) -> None:
        """See Painter."""
        rows = slice(numbers.start, numbers.stop)
        classes = FACTORS.to_classes(list_images()[rows])
        images[rows], attributes[rows] = draw_sprites(classes, self.side), classes


def draw_sprites(classes: Classes, side: Side = FULL_SIDE) -> NDArray[np.uint8]:  # (N, 5) -> (N, 1, side, side)
    """Draw the images that show these classes of FACTORS, white on black: 255 and 0.

    side: 64 as published, or 32, by `halve`.
    """
    images = np.empty((len(classes), 1, side, side), np.uint8)
    for first in range(0, len(classes), CHUNK):
        drawn = _draw(classes[first : first + CHUNK])
        images[first : first + CHUNK, 0] = drawn if side == FULL_SIDE else halve(drawn)
    return images


def halve(images: NDArray[np.uint8]) -> NDArray[np.uint8]:  # (N, 64, 64) -> (N, 32, 32)
    """Make images half as large: a pixel is white if any of the four that it stands for is."""
    half = FULL_SIDE // 2
    return np.asarray(images.reshape(-1, half, 2, half, 2).max(axis=(2, 4)))


def _draw(classes: Classes) -> NDArray[np.uint8]:  # (N, 5) -> (N, 64, 64)
    shape, scale, angle, x, y = classes.T
    # Of each orientation the sine is computed once: an angle of a whole turn is that of none, to the bit.
    angles = [2 * math.pi * (k % 39) / 39 for k in range(40)]
    cos, sin = (np.array([f(a) for a in angles])[angle, None, None] for f in (math.cos, math.sin))
    scales = np.array(FACTORS.values[1])[scale, None, None]
    centre_x, centre_y = 16 + 32 * x / 31, 16 + 32 * y / 31  # pixels from the left and from above
    left, top = centre_x.astype(np.intp) - REACH, centre_y.astype(np.intp) - REACH
    window = np.arange(2 * REACH + 1)
    columns, rows = left[:, None] + window, top[:, None] + window
    dx = (columns + 0.5 - centre_x[:, None])[:, None, :]  # a pixel is where its middle is
    dy = (rows + 0.5 - centre_y[:, None])[:, :, None]
    u = (dx * cos - dy * sin) / scales  # (N, window, window), in the sprite's own axes
    v = (dx * sin + dy * cos) / scales

    is_inside = np.empty(u.shape, bool)
    for k, contains in enumerate((_in_square, _in_ellipse, _in_heart)):
        own = shape == k
        is_inside[own] = contains(u[own], v[own])
    images = np.zeros((len(classes), FULL_SIDE, FULL_SIDE), np.uint8)
    images[np.arange(len(classes))[:, None, None], rows[:, :, None], columns[:, None, :]] = is_inside * np.uint8(255)
    return images


def _in_square(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (abs(u) < HALF_SQUARE) & (abs(v) < HALF_SQUARE)


def _in_ellipse(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.bool_]:
    a, b = ELLIPSE_RADII
    return (u / a) ** 2 + (v / b) ** 2 < 1


def _in_heart(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.bool_]:
    v = v - HEART_CENTRE
    angles = np.arctan2(abs(u), -v)  # from straight up; the heart is symmetric
    outline = np.interp(angles, np.linspace(0, math.pi, len(HEART_RADII)), HEART_RADII)
    return np.hypot(u, v) < outline
