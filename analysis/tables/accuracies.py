"""Mean accuracies of probes, with intervals over seeds and test images."""

import pandas as pd

from analysis.tables.intervals import widen_by_images
from analysis.tables.series import mean_over_seeds, one_seed_note
from analysis.wording import EACH_TRIAL, ONE_SEED

NUM_IMAGES = {True: "probe/num_knn_images", False: "probe/num_images"}  # by whether the probe is knn, of fewer images
OVER = "Mean and 95% interval over seeds (Student t) and test images (binomial)."
OVER_SEEDS = (
    "Mean and 95% interval (Student t) over seeds alone: the tables do not say how many images were classified."
)


def mean_accuracy(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Mean and 95% interval of an accuracy (0 to 1), by series and latent_dim.

    All trials are measured on the same test images. num_images: NaN in tables of older versions.
    """
    counted = rows.get(NUM_IMAGES[column.startswith("probe/knn_")], pd.Series(dtype=float)).dropna()
    num_images = float(counted.iloc[0]) if counted.nunique() == 1 else float("nan")
    return widen_by_images(mean_over_seeds(rows, column, by=["latent_dim"]), num_images).assign(num_images=num_images)


def without_dead(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """The rows in which no logit of this probe died: the report's own, with a ReLU on its logits, can then never learn.

    column: of the probe's accuracy. All rows where the tables do not count its dead logits.
    """
    dead = column.removesuffix("_accuracy") + "_dead_logits"
    return rows[~(rows[dead] > 0)] if dead in rows else rows


def accuracy_note(means: pd.DataFrame) -> str:
    """What the intervals hold. means: of `mean_accuracy`."""
    if means["individual"].any():
        return EACH_TRIAL
    if means["n"].max() == 1:
        return ONE_SEED
    return (OVER if means["num_images"].notna().all() else OVER_SEEDS) + one_seed_note(means)
