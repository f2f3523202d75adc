"""A figure's numbers as a table to read: a row for each point, with its interval."""

import pandas as pd
from pandas.api.types import is_numeric_dtype

from analysis.wording import decimal, markdown_table, setting_label, with_interval, with_minus

MAX_ROWS = 40  # longer tables are left to the CSV file
SHOWN = (
    *("title", "probe", "score", "panel", "input", "split", "group", "series", "configuration", "label"),
    *("latent_dim", "alpha", "epochs", "epoch", "step"),
)


def tabulate_numbers(frame: pd.DataFrame) -> str:
    """The means of a figure with their 95% intervals, in Markdown.

    Nothing where there are none, too many to read, or rows that nothing tells apart, as those of single trials.

    frame: as in the CSV beside the figure. Where it knows the entropy of grey pixels (column `floor`), its means are
    bounds, and are given as nats above that, too.
    """
    if not {"mean", "low", "high"} <= set(frame):
        return ""
    if "label" in frame:  # two lines at an axis
        frame = frame.assign(label=frame["label"].str.replace("\n", ", "))
    if "configuration" in frame and is_numeric_dtype(frame["configuration"]):  # a number of ours, which names nothing
        frame = frame.drop(columns="configuration")
    names = [name for name in SHOWN if name in frame and frame[name].nunique(dropna=False) > 1]
    frame = frame.drop_duplicates([*names, "mean", "low", "high"])  # of a mean beside each of its trials
    is_told_apart = not frame.duplicated(names).any() if names else len(frame) == 1
    if not is_told_apart or not 0 < len(frame) <= MAX_ROWS:
        return ""
    has_reported = "reported" in frame and frame["reported"].notna().any()
    has_floor = "floor" in frame and frame["floor"].max() > 0
    head = [*map(setting_label, names), "mean (95% interval)"]
    head += ["above the pixels' entropy"] if has_floor else []
    head += [*(["the report's"] if has_reported else []), "seeds"]
    rows = []
    for row in frame.to_dict("records"):
        cells = ["" if pd.isna(row[name]) else _format_cell(row[name]) for name in names]
        cells.append(with_interval(row["mean"], row["low"], row["high"]) if pd.notna(row["mean"]) else "-")
        if has_floor:
            cells.append(decimal(-row["mean"] - row["floor"], 2) if pd.notna(row["mean"]) else "-")
        if has_reported:
            cells.append("" if pd.isna(row["reported"]) else f"{row['reported']:.4g}")
        rows.append([*cells, f"{row['n']:.0f}" if pd.notna(row.get("n")) else "0"])
    return markdown_table(head, rows)


def _format_cell(value: object) -> str:
    return with_minus(f"{value:g}") if isinstance(value, int | float) else " ".join(str(value).split())
