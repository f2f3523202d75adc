"""Made-up tables in the shape of real ones. The numbers are invented: never quote them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.tables import Tables

TRIAL: dict[str, Any] = {
    "trial_id": "",
    "study": "synthetic",
    "status": "finished",
    "phase": "search",
    "sampler": "grid",
    "scheduler": "fifo",
    "objectives": json.dumps(["test/loss"]),
    "directions": json.dumps(["minimize"]),
    "dataset": "",
    "model": "",
    "latent_dim": 0,
    "alpha": np.nan,
    "beta": 1.0,
    "hidden": json.dumps([400]),
    "gamma_link": None,
    "gamma_clamp": np.nan,
    "sharpness_schedule": None,
    "sharpness": np.nan,
    "learning_rate": 1e-3,
    "batch_size": 32,
    "epochs": 30,
    "initialisation": "kaiming",
    "pixel_scaling": "minmax",
    "precision": "float32",
    "randomness": "counter",
    "num_validation": 0,
    "seed": 0,
}
"""A trial's columns in their order, before those of what was measured."""

OF_VSC = {"gamma_link": "exp_relu", "gamma_clamp": 1e-6, "sharpness_schedule": "per_epoch", "sharpness": 50.0}
OF_SEARCH = {
    "objectives": json.dumps(["val/elbo"]),
    "directions": json.dumps(["maximize"]),
    "num_validation": 300,
}


@dataclass
class SyntheticStudy:
    """Collects trials, with plausible losses that fall by epoch and metrics that depend on the settings."""

    dataset: str = "digits"
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    trials: list[dict[str, Any]] = field(default_factory=list)
    history: list[pd.DataFrame] = field(default_factory=list)

    def add(self, model: str, latent_dim: int, seed: int, alpha: float = np.nan, **changes: Any) -> None:
        """One trial. Where images are held out (`num_validation`), its epochs have val/* and no test/loss."""
        vsc = model == "vsc"
        searched = changes.get("sampler", "grid") != "grid"
        row = TRIAL | {"trial_id": f"t{len(self.trials):05d}", "dataset": self.dataset, "model": model, "seed": seed}
        row |= {"latent_dim": latent_dim, "alpha": alpha}
        row |= (OF_VSC if vsc else {}) | (OF_SEARCH if searched else {}) | changes
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
            "device": "cpu",
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
        unseen = loss + 16 * np.exp(-epoch / (4 + slow)) + self.rng.normal(0, 0.1, len(epoch))
        validation = {
            "val/loss": unseen,
            "val/elbo": -unseen + 0.05,
            "val/rate": rate,
            "val/distortion": unseen - 0.05 - rate,
            "val/nonzero_fraction": fraction,
        }
        metrics = {
            "trial_id": row["trial_id"],
            "epoch": epoch,
            "step": epoch * 50,
            "train/loss": train,
            "train/rate": rate,
            "train/distortion": train - rate,
            "sharpness": 50.0,
            "seconds": 0.1,
        }
        self.history.append(pd.DataFrame(metrics | (validation if row["num_validation"] else {"test/loss": unseen})))

    def add_searched(self, elbo: float, model: str = "vae", alpha: float = np.nan, **changes: Any) -> None:
        """One trial of a search that reached this validation ELBO, by default in 3 epochs."""
        status = changes.get("status", "finished")
        settings = {"sampler": "tpe", "epochs": 3, "latent_dim": 8, "seed": 0} | changes
        self.add(model, alpha=alpha, **settings)
        if status in ("stopped", "finished"):
            self.history[-1]["val/elbo"] = elbo - np.arange(len(self.history[-1]))[::-1]

    def stop_early(self, trial: int, epochs: int) -> None:
        """Stop this trial (its index) after so many epochs, as a scheduler would: it has no test metrics."""
        row = self.trials[trial]
        row |= {name: np.nan for name in row if "/" in name}
        row |= {"status": "stopped", "epochs_trained": epochs, "train_seconds": 2.0 * epochs / row["epochs"]}
        self.history[trial] = self.history[trial].head(epochs)

    def halve(self, rungs: Sequence[int], keep: float = 1 / 3) -> None:
        """Stop all but the best by validation ELBO at each rung (a number of epochs), as ASHA does."""
        left = list(range(len(self.trials)))
        for rung in rungs:
            left.sort(key=lambda trial: -self.history[trial]["val/elbo"].iloc[rung - 1])
            num_kept = max(1, round(len(left) * keep))
            for trial in left[num_kept:]:
                self.stop_early(trial, rung)
            left = left[:num_kept]

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
                "sampler": "random",
                "learning_rate": float(10 ** self.rng.uniform(-4, -2)),
                "batch_size": int(self.rng.choice([16, 32, 64, 128])),
            }
            self.add(model, int(self.rng.integers(8, 200)), 0, alpha, **settings | changes)

    def tables(self) -> Tables:
        """As `load_tables` returns them."""
        tables = self._written()
        if "test/loss" not in tables.history:
            tables.history["test/loss"] = np.nan
        return tables

    def _written(self) -> Tables:
        return Tables(pd.DataFrame(self.trials), pd.concat(self.history, ignore_index=True))

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        tables = self._written()
        # The harness writes pandas' nullable types.
        for name, table in (("trials", tables.trials), ("history", tables.history)):
            whole = table.select_dtypes("int64").columns
            text = table.columns.intersection(["trial_id", "model", "status", "gamma_link", "hidden"])
            types = dict.fromkeys(whole, "Int64") | dict.fromkeys(text, "string")
            table.astype(types).to_parquet(folder / f"{name}.parquet", index=False)
        return folder


def falling(until: int, length: int) -> list[float]:
    """A loss that falls by 10 nats an epoch to 100 in the epoch `until`, and stays there."""
    return [100.0 + 10 * max(0, until - epoch) for epoch in range(1, length + 1)]


def with_collapse(study: SyntheticStudy) -> SyntheticStudy:
    """The study with measures of collapse: one informative latent in four; those of gates if a trial has an alpha."""
    for trial in study.trials:
        trial["code/num_informative"] = trial["latent_dim"] // 4
        of_gates = {"always_on_fraction": 0.5, "gate_information": 2.0, "num_nonzero": 3.0}
        has_gates = not np.isnan(trial["alpha"])
        trial |= {f"code/{name}": value if has_gates else np.nan for name, value in of_gates.items()}
    return study


def with_probe_controls(study: SyntheticStudy) -> SyntheticStudy:
    """The study with the probes that the figure of controls shows; mu_on and mu_off if a trial has an alpha."""
    for trial in study.trials:
        for probe in ("report_coded_{}_5k", "linear_{}_all"):
            for name in ("mu", "mu_on", "mu_off", "hidden_projection", "untrained_mu"):
                is_missing = name in ("mu_on", "mu_off") and np.isnan(trial["alpha"])
                accuracy = np.nan if is_missing else 0.5 + 0.3 * study.rng.random()
                trial[f"probe/{probe.format(name)}_accuracy"] = accuracy
    return study


def with_inference_gap(study: SyntheticStudy) -> SyntheticStudy:
    """The study with the bound of 5,000 samples, 3 nats above the ELBO and 1 above the bound of 50."""
    for trial in study.trials:
        tight = trial["test/elbo"] + 2.9  # of other images than the ELBO of the table
        trial |= {"test/iw_bound_5000": tight, "test/inference_gap": 3.0, "test/iw_bound_gap": 1.0}
    return study
