"""The table of a study's configurations: the mean of each metric over seeds, with its 95% interval."""

from collections.abc import Sequence

import pandas as pd

from analysis.errors import AnalysisError
from analysis.metrics import metric_of
from analysis.tables.configurations import number_configurations
from analysis.tables.confirmed import find_lucky
from analysis.tables.intervals import mean_interval
from analysis.tables.objectives import last_values
from analysis.tables.series import varying_settings
from analysis.tables.tables import PHASES, Tables, settings_of

USUAL_METRICS = ("test/elbo", "test/rate", "test/distortion", "code/nonzero_fraction")
"""What is tabulated where nothing is asked for, of these as far as they were measured."""

COSTS = ("train_seconds", "peak_memory_mb")
ENDED = ("finished", "diverged", "failed", "stopped")
INTERVAL = ("mean", "low", "high", "n")


def tabulate_configurations(tables: Tables, metrics: Sequence[str] = ()) -> pd.DataFrame:
    """One row per configuration: its settings, num_seeds, num_lost, and four columns for each metric.

    - phase, where the study has several: search, select or confirm; they are never averaged together.
    - model, alpha, and every other setting in which configurations differ; empty where a model has no such setting.
    - num_seeds: finished trials, in select and confirm without those that `find_lucky` finds. num_lost: trials that
      diverged or failed, or that a scheduler stopped where it let other seeds of the configuration go on; no mean is
      taken over these: the mean of the others is then a lucky one. Other trials that it stopped, and those that still
      run, are left out.
    - <metric>_mean, _low, _high, _n of each metric: mean and 95% interval (Student t) over those of these trials that
      have the metric, and their number. There is no interval where n = 1.

    metrics: those of the tables, such as test/elbo, or train_seconds; by default USUAL_METRICS. A trial that joined
    studies share counts once, with what any of them has measured.

    Raises:
        AnalysisError: no trial has ended, or none has one of the metrics.
    """
    trials = _merge_repeated(_leave_out_stopped(tables.trials[tables.trials["status"].isin(ENDED)]))
    name = str(tables.trials["study"].iloc[0]) if len(tables.trials) else "the study"
    if trials.empty:
        raise AnalysisError(f"{name}: no trial has ended, so there is nothing to export; run the study")
    known = list_metrics(tables)
    chosen = list(dict.fromkeys(metrics)) or [metric for metric in USUAL_METRICS if metric in known]
    for metric in chosen or ["test/elbo"]:
        if metric not in known:
            raise AnalysisError(f"{name}: no trial has {metric}; choose with --metric among {', '.join(known)}")
    keys = _list_keys(trials)
    is_finished = trials["status"] == "finished"
    is_counted = is_finished & ~_find_lucky(trials[is_finished]).reindex(trials.index, fill_value=False)
    rows = trials.assign(num_seeds=is_counted.astype(int), num_lost=(~is_finished).astype(int))
    frame = rows.groupby(keys, dropna=False, as_index=False)[["num_seeds", "num_lost"]].sum()
    for metric in chosen:
        values = rows.assign(**{metric: last_values(rows, tables.history, metric)})[is_counted]
        columns = {column: f"{metric}_{column}" for column in INTERVAL}
        means = mean_interval(values, metric, by=keys, limits=metric_of(metric).limits).rename(columns=columns)
        frame = frame.merge(means, on=keys, how="left")
        frame[f"{metric}_n"] = frame[f"{metric}_n"].fillna(0).astype(int)
    return _sort(frame, keys)


def list_metrics(tables: Tables) -> list[str]:
    """The metrics that a trial has: measured at its end, or at every epoch."""
    columns = [*COSTS, *tables.trials.columns]
    names = [name for name in columns if name in tables.trials and (name in COSTS or "/" in name)]
    final = [name for name in dict.fromkeys(names) if tables.trials[name].notna().any()]
    return final + [name for name in map(str, tables.history) if "/" in name and tables.history[name].notna().any()]


def _leave_out_stopped(trials: pd.DataFrame) -> pd.DataFrame:
    """Without the configurations of which a scheduler stopped every trial that has ended, in their phase."""
    if not (trials["status"] == "stopped").any():
        return trials
    configurations = number_configurations(trials, apart_from=[])
    goes_on = (trials["status"] != "stopped").groupby([configurations, trials["phase"]]).transform("any")
    return trials[goes_on]


def _merge_repeated(trials: pd.DataFrame) -> pd.DataFrame:
    """One row for each trial and phase: of those that studies share, the finished one, filled with what others have."""
    if not trials.duplicated(["trial_id", "phase"]).any():
        return trials.reset_index(drop=True)
    finished_first = trials.sort_values("status", key=lambda status: status.map(ENDED.index), kind="stable")
    return finished_first.groupby(["trial_id", "phase"], as_index=False, sort=False).first()


def _find_lucky(trials: pd.DataFrame) -> pd.Series:
    """Which trials of the phases after a search have a seed by which it picked their configuration."""
    rows = trials.assign(configuration=number_configurations(trials, apart_from=["num_validation"]))
    searched = rows.loc[rows["phase"] == "search", ["configuration", "seed"]]
    found: pd.Series = pd.concat(find_lucky(rows[rows["phase"] == phase], searched) for phase in ("select", "confirm"))
    return found


def _list_keys(trials: pd.DataFrame) -> list[str]:
    """What tells configurations apart: the phase where there are several, model and alpha, the settings that vary."""
    by_phase = ["phase"] if trials["phase"].nunique() > 1 else []
    names = {"model", *varying_settings(trials)} | ({"alpha"} if trials["alpha"].notna().any() else set())
    if by_phase and (trials.groupby("phase")["num_validation"].nunique() == 1).all():  # it follows from the phase
        names -= {"num_validation"}
    return [*by_phase, *(name for name in settings_of(trials) if name in names)]


def _sort(frame: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The answer of a search first; then by model and settings."""
    order = list(reversed(PHASES))
    return frame.sort_values(
        keys, key=lambda column: column.map(order.index) if column.name == "phase" else column, ignore_index=True
    )
