"""Made-up tables in the shape of real ones. The numbers are invented: never quote them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.tables import Tables


@dataclass
class SyntheticStudy:
    """Collects trials, with plausible losses that fall by epoch and metrics that depend on the settings."""

    dataset: str = "digits"
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    trials: list[dict[str, Any]] = field(default_factory=list)
    history: list[pd.DataFrame] = field(default_factory=list)

    def add(self, model: str, latent_dim: int, seed: int, alpha: float = np.nan, **changes: Any) -> None:
        vsc = model != "vae"
        row: dict[str, Any] = {
            "trial_id": f"t{len(self.trials):05d}",
            "study": "synthetic",
            "status": "finished",
            "dataset": self.dataset,
            "model": model,
            "latent_dim": latent_dim,
            "alpha": alpha,
            "beta": 1.0,
            "hidden": json.dumps([400]),
            "gamma_link": "exp_relu" if vsc else None,
            "sharpness_schedule": "per_epoch" if vsc else None,
            "learning_rate": 1e-3,
            "batch_size": 32,
            "epochs": 30,
            "precision": "float32",
            "num_validation": 0,
            "seed": seed,
        } | changes
        slow = abs(np.log10(row["learning_rate"] / 1e-3)) * 6
        slab = 1.0 if np.isnan(alpha) else alpha
        rate = 4.0 * np.sqrt(slab * latent_dim) / (1 + latent_dim / 60) + self.rng.normal(0, 0.15)
        distortion = 20 + 12 / (0.3 + slab * latent_dim / 4) + 0.02 * latent_dim + slow
        distortion += self.rng.normal(0, 0.25)
        loss = rate + distortion
        fraction = slab if not vsc else min(1.0, alpha * 1.1 + 0.3 / latent_dim + self.rng.normal(0, 0.004))
        row |= {
            "epochs_trained": row["epochs"],
            "mlflow_run_id": None,
            "train_seconds": 2.0 + self.rng.random(),
            "peak_memory_mb": 400.0,
            "error": None,
            "test/elbo": -loss,
            "test/elbo_relaxed": -loss - 0.1,
            "test/rate": rate,
            "test/distortion": distortion,
            "test/iw_bound": -loss + 1,
            "code/slab_prob": fraction,
            "code/nonzero_fraction": fraction,
            "code/hoyer": 1 - fraction,
            "code/active_units": float(latent_dim),
        }
        if row["status"] != "finished":
            row |= {name: np.nan for name in row if "/" in name}
        self.trials.append(row)
        epoch = np.arange(1, row["epochs"] + 1)
        train = loss + 18 * np.exp(-epoch / (4 + slow)) + self.rng.normal(0, 0.2, len(epoch)) - 0.8
        test = loss + 16 * np.exp(-epoch / (4 + slow)) + self.rng.normal(0, 0.1, len(epoch))
        self.history.append(
            pd.DataFrame(
                {
                    "trial_id": row["trial_id"],
                    "epoch": epoch,
                    "train/loss": train,
                    "test/loss": test,
                    "sharpness": 50.0,
                    "seconds": 0.1,
                }
            )
        )

    def grid(self, alphas: Sequence[float], latent_dims: Sequence[int], seeds: int, **changes: Any) -> None:
        for latent_dim in latent_dims:
            for seed in range(seeds):
                self.add("vae", latent_dim, seed, **changes)
                for alpha in alphas:
                    self.add("vsc", latent_dim, seed, alpha, **changes)

    def random_search(self, num: int, **changes: Any) -> None:
        for i in range(num):
            model = "vsc" if i % 2 else "vae"
            alpha = float(10 ** self.rng.uniform(-2.3, -0.3)) if model == "vsc" else np.nan
            settings = {
                "learning_rate": float(10 ** self.rng.uniform(-4, -2)),
                "batch_size": int(self.rng.choice([16, 32, 64, 128])),
            }
            self.add(model, int(self.rng.integers(8, 200)), 0, alpha, **settings | changes)

    def tables(self) -> Tables:
        return Tables(pd.DataFrame(self.trials), pd.concat(self.history, ignore_index=True))

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        tables = self.tables()
        # The harness writes pandas' nullable types.
        for name, table in (("trials", tables.trials), ("history", tables.history)):
            whole = table.select_dtypes("int64").columns
            text = table.columns.intersection(["trial_id", "model", "status", "gamma_link", "hidden"])
            types = dict.fromkeys(whole, "Int64") | dict.fromkeys(text, "string")
            table.astype(types).to_parquet(folder / f"{name}.parquet", index=False)
        return folder
