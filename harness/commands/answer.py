"""The table with which `run` ends: the configurations of a study, ranked by what they reached."""

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from rich.console import Console, Group, RenderableType
from rich.table import Table

from analysis.errors import describe_error
from analysis.metrics import metric_label, metric_of
from analysis.tables import Tables, load_tables, of_search
from analysis.tables.configuration_table import list_metrics, tabulate_configurations
from analysis.tables.configurations import short_labels
from analysis.tables.confirmed import compute_confirmed
from analysis.tables.entropy_floor import have_comparable_bounds
from analysis.tables.objectives import goals, is_allowed
from analysis.tables.series import varying_within_models
from analysis.tables.tables import settings_of
from analysis.wording import plural, with_interval
from harness.study import Study

MAX_ROWS = 10
FINAL = "test/elbo"  # what a grid without images held out is compared by: it means the same for every model
UNSELECTED = "Ordered by test images: nothing was selected on images held out."
PIPE_WIDTH = 200  # columns, where no terminal says how many it has


@dataclass(frozen=True)
class Answer:
    """What each configuration reached.

    ranked: label, and mean, low, high and n (seeds) of the metric, the best first. is_selected: whether the order is
    that of images held out.
    """

    metric: str
    ranked: pd.DataFrame
    is_selected: bool

    @property
    def note(self) -> str:
        """What is to be said of the order, if anything is."""
        return "" if self.is_selected or not self.metric.startswith("test/") else UNSELECTED

    def list_rows(self) -> list[list[str]]:
        """The best of it, in words: place, label, mean with its interval, seeds."""
        return [
            [str(place), row["label"], with_interval(row["mean"], row["low"], row["high"]), f"{row['n']:.0f}"]
            for place, row in enumerate(self.ranked.head(MAX_ROWS).to_dict("records"), 1)
        ]


def print_answer(study: Study, folder: Path, console: Console) -> None:
    """Print the ranked configurations of a study, if there are any; whatever goes wrong, it has been trained."""
    if not study.has_one_best:
        return
    try:
        answer = summarise_answer(load_tables(folder))
    except Exception as error:
        console.print(f"The configurations could not be ranked ({describe_error(error)}).", soft_wrap=True)
        return
    if answer is not None:
        console.print(answer, width=None if console.is_terminal else PIPE_WIDTH)


def summarise_answer(tables: Tables) -> RenderableType | None:
    """A ranked table of configurations: the metric's mean over seeds with its 95% interval; None without any."""
    answer = compute_answer(tables)
    if answer is None or answer.ranked.empty:
        return None
    unit = metric_of(answer.metric).unit
    table = Table(box=None, pad_edge=False)
    table.add_column("", justify="right")
    table.add_column("configuration", overflow="fold")
    table.add_column(f"{metric_label(answer.metric)} (95% interval)\n{unit}".rstrip(), justify="right")
    table.add_column("seeds", justify="right")
    for row in answer.list_rows():
        table.add_row(*row)
    if (num_more := len(answer.ranked) - MAX_ROWS) > 0:
        table.add_row("", f"and {plural(num_more, 'configuration')} more", "", "")
    return Group(table, answer.note) if answer.note else table


def compute_answer(tables: Tables) -> Answer | None:
    """Rank the configurations whose trials all finished within the constraints; None where they cannot be compared.

    Where configurations were confirmed, these alone, in the order of their validation; else by the objective of the
    study, or, of a grid without images held out, by the test ELBO. A mean over those seeds alone that finished would
    be a lucky one.
    """
    trials = tables.trials
    if trials.empty or not have_comparable_bounds(trials):
        return None
    if ((trials["phase"] == "confirm") & (trials["status"] == "finished")).any():
        found = compute_confirmed(trials, tables.history).dropna(subset=["rank"])
        names = {f"test_{name}": name for name in ("mean", "low", "high", "n")}
        ranked = found.rename(columns=names)[["label", "mean", "low", "high", "n"]].dropna(subset=["mean"])
        return Answer(FINAL, ranked, is_selected=True)
    searched = of_search(tables)
    trials, known = searched.trials, list_metrics(searched)
    metric = goals(trials)[0][0]
    is_selected = metric.startswith("val/")
    if not is_selected and FINAL in known and (trials["sampler"] == "grid").all():
        metric = FINAL
    if metric not in known:
        return None
    is_counted = (trials["status"] == "finished") & is_allowed(trials)
    searched = replace(searched, trials=trials.assign(status=is_counted.map({True: "finished", False: "failed"})))
    frame = tabulate_configurations(searched, [metric])
    frame = frame[frame[f"{metric}_n"] == frame["num_seeds"] + frame["num_lost"]]
    told = {"alpha", *varying_within_models(trials)}
    settings = [name for name in settings_of(trials) if name in frame and name in told]
    frame = frame.assign(label=short_labels(frame, sorted(settings, key=lambda name: name != "alpha")))
    frame = frame.rename(columns=lambda name: name.removeprefix(f"{metric}_"))
    ranked = frame.sort_values("mean", ascending=metric_of(metric).is_lower_better, kind="stable", ignore_index=True)
    return Answer(metric, ranked[["label", "mean", "low", "high", "n"]], is_selected)
