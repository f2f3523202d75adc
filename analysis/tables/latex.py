"""The table of configurations in LaTeX, as a paper includes it: rules of booktabs, every name and text escaped."""

import math
from collections.abc import Hashable, Mapping
from functools import partial
from typing import Any

import pandas as pd

from analysis.metrics import metric_label, metric_of
from analysis.wording import count_decimals, fewest_digits, model_label, setting_label, short_value

SPECIAL = {
    **{character: f"\\{character}" for character in "#$%&_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "α": r"$\alpha$",  # noqa: RUF001
    "β": r"$\beta$",
}

MAX_DECIMALS = 4

HEAD = """\
% Means over seeds, with the 95% interval (Student's t), which is lopsided where it ends at a limit of the metric.
% In the preamble: \\usepackage{booktabs}
"""


def escape(text: str) -> str:
    """Escape what LaTeX would take for a command; Greek letters become formulas."""
    return "".join(SPECIAL.get(character, character) for character in text)


def format_latex(frame: pd.DataFrame) -> str:
    """Format the frame of `tabulate_configurations` as a tabular environment: a column for each setting and metric."""
    names = [str(name) for name in frame]
    metrics = [name.removesuffix("_mean") for name in names if name.endswith("_mean")]
    settings = names[: names.index("num_seeds")]
    columns = "".join("l" if frame[name].dtype.kind not in "if" else "r" for name in settings)
    head = [*(escape(setting_label(name)) for name in settings), *map(_head_of, metrics), "seeds"]
    cells = [_format_settings(name, frame[name]) for name in settings]
    records = frame.to_dict("records")
    cells += [[_format_mean(row, metric) for row in records] for metric in metrics]
    cells.append([_format_seeds(row) for row in records])
    lines = [f"{' & '.join(row)} \\\\" for row in zip(*cells, strict=True)]
    return "\n".join([
        rf"{HEAD}\begin{{tabular}}{{{columns}{'r' * len(metrics)}r}}",
        r"\toprule",
        f"{' & '.join(head)} \\\\",
        r"\midrule",
        *lines,
        r"\bottomrule",
        r"\end{tabular}",
        "",
    ])  # fmt: skip


def _head_of(metric: str) -> str:
    label, unit = metric_label(metric), metric_of(metric).unit
    return escape(f"{label} ({unit})" if unit else label)


def _format_settings(name: str, column: pd.Series) -> list[str]:
    """A column of settings, numbers with as few digits as tell different ones apart."""

    def write_all(digits: int) -> list[str]:
        write = model_label if name == "model" else partial(short_value, digits=digits)
        return ["--" if pd.isna(value) else escape(write(value)) for value in column]

    return fewest_digits(write_all, column.nunique(dropna=False))


def _format_mean(row: Mapping[Hashable, Any], metric: str) -> str:
    """A mean and half the width of its interval, with two digits of the latter; both ways where they differ."""
    mean, low, high = (row[f"{metric}_{column}"] for column in ("mean", "low", "high"))
    half = (high - low) / 2
    if math.isnan(mean):
        return "--"
    if math.isnan(half):
        return f"${mean:.4g}$"
    if half == 0:
        return rf"${mean:g} \pm 0$"
    decimals = count_decimals(half, most=MAX_DECIMALS)
    if math.isclose(high - mean, mean - low, rel_tol=1e-6):
        return rf"${mean:.{decimals}f} \pm {half:.{decimals}f}$"
    return f"${mean:.{decimals}f}^{{+{high - mean:.{decimals}f}}}_{{-{mean - low:.{decimals}f}}}$"


def _format_seeds(row: Mapping[Hashable, Any]) -> str:
    num_seeds, num_lost = int(row["num_seeds"]), int(row["num_lost"])
    return f"{num_seeds} of {num_seeds + num_lost}" if num_lost else str(num_seeds)
