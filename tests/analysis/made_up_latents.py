"""A made-up study whose trials stored what each latent does."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.tables import Tables, load_tables
from tests.analysis.synthetic import SyntheticStudy


def make_latents(latent_dim: int, alpha: float) -> dict[str, Any]:
    """The last latent has the largest KL, 2 nats; each before it a tenth of the next. Two classes, 3 and 5."""
    kl = 2 * 10.0 ** np.arange(1 - latent_dim, 1)
    gamma = np.linspace(alpha, 1, latent_dim) if alpha < 1 else np.ones(latent_dim)
    arrays = {"slab_prob": gamma, "kl": kl, "gate_information": kl / 10, "slab_prob_by_class": np.stack([gamma, gamma])}
    return {name: array.astype(np.float32) for name, array in arrays.items()} | {"classes": np.array([3, 5])}


@dataclass
class StudyWithLatents(SyntheticStudy):
    """Each finished trial has the arrays of its latents. without: arrays that are missing."""

    without: tuple[str, ...] = ()

    def write(self, folder: Path) -> Path:
        super().write(folder)
        (folder / "exhibits").mkdir()
        for trial in self.trials:
            if trial["status"] == "finished":
                alpha = 1.0 if np.isnan(trial["alpha"]) else trial["alpha"]
                arrays = make_latents(trial["latent_dim"], alpha)
                kept = {name: array for name, array in arrays.items() if name not in self.without}
                np.savez_compressed(folder / "exhibits" / f"{trial['trial_id']}-latents.npz", **kept)
        return folder

    def stored(self, folder: Path) -> Tables:
        """As `load_tables` returns them."""
        return load_tables(self.write(folder))
