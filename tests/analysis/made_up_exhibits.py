"""Made-up exhibits: every picture is of one gray, so that a figure can be asked which one it shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from analysis.tables import Tables, load_tables
from tests.analysis.synthetic import SyntheticStudy

HEIGHT, WIDTH = 6, 5


def fill(*grays: Any) -> np.ndarray:  # (...) -> (..., 6, 5) uint8
    """A picture of each of these grays."""
    return np.broadcast_to(np.array(grays[0], np.uint8)[..., None, None], (*np.shape(grays[0]), HEIGHT, WIDTH)).copy()


def make_exhibits(latent_dim: int) -> dict[str, np.ndarray]:
    """Three images. The first code has entries -2 and 1, the second is all zero, the third has a single 3."""
    codes = np.zeros((3, latent_dim), np.float32)
    codes[0, :2] = (1, -2)[-latent_dim:]
    codes[2, -1] = 3
    largest = np.array([min(1, latent_dim - 1), -1, latent_dim - 1])
    first = [1, 0][-latent_dim:] + [-1] * (2 - min(2, latent_dim))
    prior_codes = np.zeros((10, latent_dim), np.float32)
    prior_codes[:5, 0] = 1
    return {
        "images": fill([10, 11, 12]),
        "labels": np.array([4, 7, 9]),
        "codes": codes,
        "reconstructions": fill([20, 21, 22]),
        "edited_factors": np.array([0.01, -0.5]),
        "edited_latents": largest,
        "edited_pictures": fill([[30, 31], [21, 21], [34, 35]]),
        "traversed_images": np.array([0, 2, 1]),
        "traversed_latents": np.array([first, [latent_dim - 1, -1], [-1, -1]]),
        "traversal_offsets": np.array([-1, 0, 1], np.float32),
        "traversals": fill(np.arange(18).reshape(3, 2, 3) + 40),
        "conditional_images": np.array([0, 1, 2]),
        "conditional_kept": np.array([1, 0, 0]),
        "conditional_samples": fill([[60, 61], [62, 63], [64, 65]]),
        "redrawn_counts": np.array([[1, 2], [0, 0], [0, 1]]),
        "redrawn_samples": fill([[90, 91], [92, 93], [94, 95]]),
        "prior_codes": prior_codes,
        "prior_pictures": fill(np.arange(70, 80)),
        "gaussian_pictures": fill(np.arange(80, 90)),
    }


@dataclass
class StudyWithExhibits(SyntheticStudy):
    """Each finished trial has exhibits, of which some may be changed, by the trial's place."""

    changed: dict[int, Mapping[str, np.ndarray]] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        super().write(folder)
        (folder / "exhibits").mkdir()
        for place, trial in enumerate(self.trials):
            if trial["status"] == "finished":
                arrays = make_exhibits(trial["latent_dim"]) | self.changed.get(place, {})
                np.savez_compressed(folder / "exhibits" / f"{trial['trial_id']}.npz", **arrays)
        return folder

    def stored(self, folder: Path) -> Tables:
        """As `load_tables` returns them."""
        return load_tables(self.write(folder))


def grays_of(ax: Axes) -> list[list[int]]:
    """The gray of each picture in a table of pictures, by row."""
    (image,) = ax.images
    table = np.ma.filled(image.get_array().astype(float), np.nan)
    gap = 1
    rows, columns = table.shape[0] // (HEIGHT + 2 * gap), table.shape[1] // (WIDTH + 2 * gap)
    tiles = table.reshape(rows, HEIGHT + 2 * gap, columns, WIDTH + 2 * gap).swapaxes(1, 2)
    inside = tiles[:, :, gap:-gap, gap:-gap].reshape(rows, columns, -1)
    assert (inside == inside[..., :1]).all()
    return inside[..., 0].astype(int).tolist()


def heights_of(ax: Axes) -> dict[int, float]:
    """The stems of a code, by latent."""
    (stems,) = (item for item in ax.collections if hasattr(item, "get_segments"))
    return {int(segment[1][0]): float(segment[1][1]) for segment in stems.get_segments()}
