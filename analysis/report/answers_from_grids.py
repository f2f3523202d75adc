"""Answers to the open questions from grids of learning rates by batch sizes."""

import numpy as np
import pandas as pd

from analysis.figures.learning_rate_by_batch_size import best_cell
from analysis.figures.learning_rate_by_batch_size import compute as compute_cells
from analysis.metrics import metric_label, metric_of
from analysis.tables import Tables, of_search
from analysis.tables.intervals import paired_difference
from analysis.wording import decimal, markdown_table, short_value, with_interval

NO_GRID = "no study here trains a grid of learning rates by batch sizes"


def is_grid(tables: Tables) -> bool:
    """Whether the study varies both on a grid."""
    trials = of_search(tables).trials
    varies = trials[["learning_rate", "batch_size"]].nunique() > 1
    return bool((trials["sampler"] == "grid").all() and varies.all())


def describe_batch_size(tables: Tables) -> str:
    """The best value at each batch size, and by how much these differ."""
    cells = compute_cells(tables)
    sizes = np.unique(cells["batch_size"])
    best = _best_by_batch_size(cells)
    rows, spreads = [], {}
    for label, of_label in best.groupby("label", sort=False):
        spreads[str(label)] = of_label["value"].max() - of_label["value"].min()
        found = {
            row["batch_size"]: f"{decimal(row['value'])} at {short_value(row['learning_rate'])}"
            for row in of_label.to_dict("records")
        }
        # Not by value: ends chosen by their numbers differ by chance alone.
        by_size = of_label.sort_values("batch_size")
        gap = _compare(by_size.iloc[0], by_size.iloc[-1]) if len(by_size) > 1 else ""
        rows.append([str(label), *(found.get(size, "no value") for size in sizes), gap])
    metric, unit = _metric(cells)
    widest, narrowest = max(spreads, key=spreads.__getitem__), min(spreads.values())
    span = f"{decimal(narrowest, 2)} to {decimal(spreads[widest], 2)}" if len(spreads) > 1 else decimal(narrowest, 2)
    most = f", most for {widest}" if len(spreads) > 1 else ""
    states = cells["state"][cells["value"].isna()].value_counts().sort_index()
    lost = f" Without a value: {', '.join(f'{num} {state}' for state, num in states.items())}." if len(states) else ""
    table = markdown_table(["", *(f"batch size {size:g}" for size in sizes), "smallest less largest"], rows)
    return (
        f"each at its best learning rate, batch sizes from {sizes[0]:g} to {sizes[-1]:g} differ in {metric} by "
        f"{span}{unit}{most}. All train for as many epochs, so that a small batch takes more steps. Each cell of the "
        "table: the best mean over seeds, and its learning rate, chosen by these numbers; difference: 95% interval, "
        "paired by seed."
        f"{lost}\n\n{table}"
    )


def _compare(cell: pd.Series, other: pd.Series) -> str:
    """Two batch sizes, each at its best learning rate: mean difference and its interval, paired by seed."""
    found = paired_difference(cell["by_seed"], other["by_seed"])
    if not found.num_seeds:
        return "no seed in common"
    gain = with_interval(found.mean, found.low, found.high)
    return f"{cell['batch_size']:g} less {other['batch_size']:g}: {gain}"


def describe_learning_rate(tables: Tables) -> str:
    """The best learning rate, overall and by batch size."""
    cells = compute_cells(tables)
    metric, unit = _metric(cells)
    lines = []
    for label, of_label in _best_by_batch_size(cells).groupby("label", sort=False):
        best = best_cell(of_label)
        rates = ", ".join(
            f"{short_value(row['learning_rate'])} at {row['batch_size']:g}" for row in of_label.to_dict("records")
        )
        lines.append(
            f"- {label}: {short_value(best['learning_rate'])}, with batch size {best['batch_size']:g} ({metric} "
            f"{decimal(best['value'])}{unit}); by batch size: {rates}."
        )
    return "the best learning rate is\n\n" + "\n".join(lines)


def _best_by_batch_size(cells: pd.DataFrame) -> pd.DataFrame:
    """The best cell of each configuration and batch size that has a value."""
    by = cells.dropna(subset=["value"]).groupby(["panel", "batch_size"])
    return pd.DataFrame([best_cell(of_size) for _, of_size in by])


def _metric(cells: pd.DataFrame) -> tuple[str, str]:
    """The metric of a grid as a reader says it, and its unit with a space before it."""
    name = cells["metric"].iloc[0]
    unit = metric_of(name).unit
    return metric_label(name), f" {unit}" if unit else ""
