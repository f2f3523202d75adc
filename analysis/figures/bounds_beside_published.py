"""What is the bound on binary pixels, of which other papers print theirs, as training goes on?"""

import pandas as pd
from matplotlib.axes import Axes

from analysis.drawing.figure import Figure, on_one_axes
from analysis.drawing.lines import draw_line, each_series, legend_beside, scale_lengths
from analysis.drawing.style import QUIET, variant_colour
from analysis.tables import Tables
from analysis.tables.reported_numbers import load_published_bounds
from analysis.tables.series import NothingToDrawError, assign_series, finished_with, mean_over_seeds, one_seed_note
from analysis.wording import NATS, ONE_SEED, decimal, plural

BOUNDS = {"test/elbo": "ELBO", "test/iw_bound": "importance-weighted bound"}
LINE_STYLES = {"ELBO": "-", "importance-weighted bound": "--"}
ALIKE = ["dataset", "binarisation", "model", "latent_dim", "hidden", "activation"]


def compute(tables: Tables) -> pd.DataFrame:
    """Mean and 95% interval over seeds of both bounds (nats per image) by series, `split` (which bound) and epochs.

    published, published_epochs, source: the bound that a paper prints of such a model on such pixels, if one does.
    """
    rows = finished_with(tables.trials, list(BOUNDS))
    if "binarisation" not in rows or (rows["binarisation"] == "none").any():
        raise NothingToDrawError("pixels are grey: papers print bounds on binary ones")
    rows = assign_series(rows, apart_from=["epochs"])
    if rows["individual"].any():
        raise NothingToDrawError("trials differ in too much for a curve")
    named = load_published_bounds().rename(columns={"epochs": "published_epochs"})
    published = rows[["series", *ALIKE]].drop_duplicates().merge(named, on=ALIKE, how="left")
    published = published.assign(published=-published["nats"])[["series", "published", "published_epochs", "source"]]
    means = (mean_over_seeds(rows, metric, by=["epochs"]).assign(split=name) for metric, name in BOUNDS.items())
    return pd.concat(means, ignore_index=True).merge(published, on="series", how="left")


def plot(frame: pd.DataFrame, ax: Axes) -> None:
    """Draw a line for each series and bound, and a level for each number that a paper prints."""
    for rows, look in each_series(frame):
        variant = int(rows["variant"].iloc[0])
        colour = variant_colour(str(rows["model"].iloc[0]), variant) if variant else look["color"]
        for bound, line in rows.groupby("split", sort=False):
            label = f"{look['label']}, {bound}"
            style = {"linestyle": LINE_STYLES[str(bound)], "color": colour, "label": label}
            draw_line(ax, "epochs", line, look | style)
    for row in frame.dropna(subset=["published"]).drop_duplicates("source").to_dict("records"):
        epochs = plural(int(row["published_epochs"]), "epoch")
        label = f"{decimal(row['published'], 2)} after {epochs}\n({row['source']})"
        ax.axhline(row["published"], color=QUIET, linestyle=(0, (1, 2)), linewidth=1.4, label=label)
    scale_lengths(ax, frame["epochs"])
    ax.set_xlabel("epochs of training")
    ax.set_ylabel(f"bound on binary test images\n({NATS}, higher is better)")
    legend_beside(ax)


def note(frame: pd.DataFrame) -> str:
    """How to read the figure."""
    text = (
        "Mean and 95% interval (Student t) over seeds." + one_seed_note(frame) if (frame["n"] > 1).any() else ONE_SEED
    )
    text += " Pixels are drawn white with their intensity as probability, those of the test images once."
    if frame["published"].notna().any():
        text += (
            " Dotted: what a paper prints of a model of this shape, an importance-weighted bound, trained far longer "
            "in another way and measured on other draws of the pixels; short runs compare with their own curve alone."
        )
    return text


FIGURE = Figure(
    title="Bounds on binary pixels by epochs of training",
    compute=compute,
    plot=on_one_axes(plot),
    needs=tuple(BOUNDS),
    note=note,
    all_lengths=True,
)
