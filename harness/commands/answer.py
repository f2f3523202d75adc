"""The answer of a study that has run: its configurations, ranked by what they reached."""

import math
from pathlib import Path

import pandas as pd
from rich.console import Console, RenderableType
from rich.table import Table

from analysis.errors import describe_error
from analysis.tables import Tables, load_tables, of_search
from analysis.tables.configurations import number_configurations, short_labels
from analysis.tables.confirmed import compute_confirmed
from analysis.tables.intervals import mean_interval
from analysis.tables.objectives import final_values, goals, is_allowed, short_label
from analysis.tables.series import varying_settings
from analysis.wording import plural, unit_of, with_interval
from harness.metrics import mode_of
from harness.study import Study

MAX_ROWS = 10
FINAL = "test/elbo"  # what is compared where nothing was searched: it means the same for every model
PIPE_WIDTH = 200  # columns, where no terminal says how many it has


def print_answer(study: Study, folder: Path, console: Console) -> None:
    """Print the ranked configurations of a study, if there are any; whatever goes wrong, it has been trained."""
    try:
        answer = None if len(study.objectives) > 1 else summarise_answer(load_tables(folder))
    except Exception as error:
        console.print(f"The configurations could not be ranked ({describe_error(error)}).", soft_wrap=True)
        return
    if answer is not None:
        console.print(answer, width=None if console.is_terminal else PIPE_WIDTH)


def summarise_answer(tables: Tables) -> RenderableType | None:
    """A ranked table of configurations: the metric's mean over seeds with its 95% interval; None without any."""
    metric, ranked = rank_configurations(tables)
    if ranked.empty:
        return None
    unit = unit_of(metric)
    table = Table(box=None, pad_edge=False)
    table.add_column("", justify="right")
    table.add_column("configuration", overflow="fold")
    table.add_column(f"{short_label(metric)} (95% interval)\n{unit}".rstrip(), justify="right")
    table.add_column("seeds", justify="right")
    for place, row in enumerate(ranked.head(MAX_ROWS).to_dict("records"), 1):
        value = with_interval(row["mean"], row["low"], row["high"])
        table.add_row(str(place), row["label"], value, f"{row['n']:.0f}")
    if len(ranked) > MAX_ROWS:
        table.add_row("", f"and {plural(len(ranked) - MAX_ROWS, 'configuration')} more", "", "")
    return table


def rank_configurations(tables: Tables) -> tuple[str, pd.DataFrame]:
    """The metric, and label, mean, low, high and n (seeds) of each configuration that has a value, the best first.

    Where configurations were confirmed, these alone, in the order of their validation; else by the objective of a
    search, or by the test ELBO of a grid.
    """
    trials = tables.trials
    if ((trials["phase"] == "confirm") & (trials["status"] == "finished")).any():
        found = compute_confirmed(trials, tables.history).dropna(subset=["rank"])
        names = {f"test_{name}": name for name in ("mean", "low", "high", "n")}
        return FINAL, found.rename(columns=names)[["label", "mean", "low", "high", "n"]].dropna(subset=["mean"])
    trials = of_search(tables).trials.reset_index(drop=True)
    if trials["pixel_scaling"].nunique() != 1:  # bounds on differently scaled pixels cannot be compared
        return FINAL, trials.iloc[:0]
    is_grid = bool((trials["sampler"] == "grid").all())
    metric = FINAL if is_grid and trials.get(FINAL, pd.Series([math.nan])).notna().any() else goals(trials)[0][0]
    if metric != FINAL:
        trials[metric] = final_values(trials, tables.history)[metric].to_numpy()
    trials = trials[is_allowed(trials)].copy()
    trials["configuration"] = number_configurations(trials)
    trials["label"] = short_labels(trials, ["alpha", *varying_settings(trials, apart_from=["alpha", "configuration"])])
    means = mean_interval(trials, metric, by=["configuration", "label"])
    return metric, means.sort_values("mean", ascending=mode_of(metric) == "min", kind="stable", ignore_index=True)
