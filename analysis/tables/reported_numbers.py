"""What the report "[Re] Variational Sparse Coding" published, as data.

MNIST and Fashion-MNIST, seed 1, 11 epochs: reported/curves.csv holds the curves of its Figures 1 and 2,
reported/training_curves.csv the losses of 100 runs on MNIST and of 84 on Fashion-MNIST; reported/published_bounds.csv
what other papers print. Of Figure 1 it published one curve too few: the file mnist-vsc-vlb-02 of its repository holds
the curve of Fashion-MNIST for alpha 0.2, as which it stands here, and MNIST's is not there.

CelebA, 90 epochs: the losses of the run that Figure 7 shows stand in training_curves.csv, too. They are pasted as a log
into its notebook Datasets_Scaling.ipynb, without settings: those here are of its README and of Figure 5.
"""

from collections.abc import Collection, Mapping
from pathlib import Path

import pandas as pd

from analysis.wording import decimal, plural

FOLDER = Path(__file__).parents[1] / "reported"
IMAGES_PER_BATCH = 10_000 / 313
"""The report sums its bound over a batch and averages over the 313 batches of the test set."""

SECONDS_PER_EPOCH = {"a Titan Xp": 8.0, "a CPU": 60.0}  # section 4.3
DATASETS = ("mnist", "fashion-mnist")
SEED = 1
CLOSE = 1.0  # percent that a final test loss may differ by from the report's own
EPOCHS = 11
SETTINGS = {
    **{"hidden": "[400]", "batch_size": 32, "epochs": EPOCHS, "learning_rate": 1e-3, "beta": 1.0},
    **{"initialisation": "kaiming", "pixel_scaling": "minmax", "precision": "float32"},
}
OTHER_SETTINGS: Mapping[str, Mapping[str, object]] = {"celeba": {"hidden": "[2000, 2000]", "epochs": 90}}
"""Settings of its runs on another dataset that differ from SETTINGS."""

SETTINGS_OF_VSC = {
    **{"gamma_link": "exp_relu", "gamma_clamp": 1e-6, "sharpness": 50.0, "sharpness_schedule": "per_epoch"},
}
LATER_SETTINGS = {
    **{"network": "mlp", "activation": "relu", "binarisation": "none", "likelihood": "bernoulli"},
    **{"estimator": "relaxed", "kl_from": "gamma"},
}
"""Settings that tables lack which were written before there was a choice, as do models that have no such setting."""


def load_curves(metric: str, dataset: str) -> pd.DataFrame:
    """A curve by model, alpha (NaN for the VAE) and latent_dim, in column `value`; empty for other datasets.

    metric: elbo_relaxed, nats per image, of relaxed samples at sharpness 200 (Figure 1); or accuracy, 0 to 1, of a
    classifier on the posterior means (Figure 2).
    """
    curves = pd.read_csv(FOLDER / "curves.csv")
    name, scale = {"elbo_relaxed": ("vlb_per_batch", -1 / IMAGES_PER_BATCH), "accuracy": ("accuracy", 0.01)}[metric]
    rows = curves[(curves["metric"] == name) & (curves["dataset"] == dataset)]
    return rows.assign(value=rows["value"] * scale)[["model", "alpha", "latent_dim", "value"]]


def load_training_curves(dataset: str) -> pd.DataFrame:
    """Columns model, alpha, latent_dim, epoch, train_loss and test_loss: negative ELBO, nats per image.

    Empty for datasets that the report did not train on.
    """
    curves = pd.read_csv(FOLDER / "training_curves.csv")
    return curves[curves["dataset"] == dataset].drop(columns="dataset").reset_index(drop=True)


def load_published_bounds() -> pd.DataFrame:
    """Bounds on -log p(x) (`nats` per image) that other papers print of models on binary pixels, with their settings.

    num_samples: of the importance-weighted bound. epochs: of training. source: the paper.
    """
    return pd.read_csv(FOLDER / "published_bounds.csv")


def are_as_reported(
    trials: pd.DataFrame, datasets: Collection[str] = DATASETS, *, but_for: Collection[str] = ()
) -> pd.Series:
    """Which trials are trained as the report's were on these datasets, so that its numbers stand for the same thing.

    but_for: settings that may differ.
    """
    alike = trials["dataset"].isin(datasets)
    for name, usual in SETTINGS.items():
        for dataset in datasets if name not in but_for else ():
            value = OTHER_SETTINGS.get(dataset, {}).get(name, usual)
            alike &= (trials[name] == value) | (trials["dataset"] != dataset)
    for name, value in SETTINGS_OF_VSC.items():
        alike &= (trials[name] == value) | (trials["model"] == "vae")
    for name, value in LATER_SETTINGS.items():
        if name in trials:
            alike &= (trials[name] == value) | trials[name].isna()
    return alike


def compute_deviations(trials: pd.DataFrame, history: pd.DataFrame) -> pd.DataFrame:
    """By how much the final test loss differs from the report's own, in percent of it, for each trial that has one.

    Columns: dataset, model, alpha, latent_dim, seed, percent. Of finished trials that are trained as the report's were.
    """
    as_reported = trials[(trials["status"] == "finished") & are_as_reported(trials) & (trials["num_validation"] == 0)]
    key = ["model", "alpha", "latent_dim", "epoch"]
    frames = []
    for dataset, rows in as_reported.groupby("dataset"):
        losses = history[["trial_id", "epoch", "test/loss"]]
        ours = rows.assign(epoch=rows["epochs"]).merge(losses, on=["trial_id", "epoch"])
        both = ours.merge(load_training_curves(str(dataset)), on=key)
        frames.append(both.assign(percent=100 * (both["test/loss"] / both["test_loss"] - 1)))
    names = ["dataset", "model", "alpha", "latent_dim", "seed", "percent"]
    return pd.concat(frames, ignore_index=True)[names] if frames else pd.DataFrame(columns=names)


def describe_deviations(deviations: pd.DataFrame) -> str:
    """For which seeds the final test losses are within CLOSE of the report's own; nothing where there are none.

    deviations: as `compute_deviations` returns them, of one dataset. The report's own seed is 1.
    """
    if deviations.empty:
        return ""
    size = deviations["percent"].abs()
    own = deviations["seed"] == SEED
    parts = []
    for which, chosen in ((f"of seed {SEED}, the report's own", own), ("of all seeds", own | True)):
        if chosen.any():
            beyond, num = int((size[chosen] > CLOSE).sum()), int(chosen.sum())
            parts.append(
                f"{which}, {beyond} of {plural(num, 'model')} {'differs' if beyond == 1 else 'differ'} by more than "
                f"{CLOSE:g}%, by {decimal(float(size[chosen].max()), 2)}% at most"
            )
    return f"After {EPOCHS} epochs the test loss beside the report's own: {'; '.join(parts)}."
