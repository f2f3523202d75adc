"""What a search steers by, and what each of its trials reached."""

import json
import math

import pandas as pd

from analysis.metrics import metric_label, metric_of
from analysis.tables.series import NothingToDrawError

BEST_SHARE, MIN_BEST = 0.1, 5  # Optuna asks for five among the best at least
COUNTED = ("finished", "stopped")  # a trial that a scheduler stopped counts with the value it reached


def goals(trials: pd.DataFrame) -> list[tuple[str, bool]]:
    """Each objective of the search: its metric, and whether it is maximised."""
    first = trials.iloc[0]
    names, directions = json.loads(first["objectives"]), json.loads(first["directions"])
    return [(name, direction == "maximize") for name, direction in zip(names, directions, strict=True)]


def final_values(trials: pd.DataFrame, history: pd.DataFrame) -> pd.DataFrame:
    """What each trial reached, in the order of the search.

    Columns: number (from 1), trial_id, status, epochs_trained, is_allowed, objectives. An objective's column has its
    name: its value in the last epoch that has one. It is NaN unless the trial has finished or was stopped, since one
    that goes on or failed has reached nothing.
    """
    frame = trials[["trial_id", "status", "epochs_trained"]].reset_index(drop=True)
    frame.insert(0, "number", range(1, len(frame) + 1))
    frame["is_allowed"] = is_allowed(trials).to_numpy(bool)
    for name, _ in goals(trials) if len(trials) else []:
        frame[name] = last_values(trials, history, name).reset_index(drop=True).where(frame["status"].isin(COUNTED))
    return frame


def last_values(trials: pd.DataFrame, history: pd.DataFrame, name: str) -> pd.Series:
    """A metric's value at each trial's last epoch that has one, or what was measured once, at its end; else NaN."""
    if name in history and history[name].notna().any():
        ordered = history.sort_values("epoch", kind="stable")
        return trials["trial_id"].map(ordered.groupby("trial_id")[name].last())  # the last that is not NaN
    return trials.reindex(columns=[name])[name]


def is_allowed(trials: pd.DataFrame) -> pd.Series:
    """Whether each trial keeps to the constraints of its search; a table from before there were any has no column.

    Trials that select and confirm the best of the search are not judged by them.
    """
    if "violates" not in trials:
        return pd.Series(True, index=trials.index)
    return trials["violates"].isna() | (trials["phase"] != "search")


def searched_values(trials: pd.DataFrame, history: pd.DataFrame) -> pd.DataFrame:
    """The `final_values` of those trials of a search that reached a value of every objective."""
    require_search(trials)
    names = [name for name, _ in goals(trials)]
    values = final_values(trials, history).dropna(subset=names)
    if values.empty:
        raise NothingToDrawError(f"no finished or stopped trial has a value of {' and '.join(names)}")
    return values


def require_search(trials: pd.DataFrame) -> None:
    """Refuse to draw what only a search has."""
    if trials.empty:
        raise NothingToDrawError("no trial has finished")
    if (trials["sampler"] == "grid").all():
        raise NothingToDrawError("a grid trains every point, so nothing was searched")


def count_best(num_trials: int) -> int:
    """How many trials count as the best: a tenth, at least five, but not more than half, and never none."""
    return min(max(math.ceil(BEST_SHARE * num_trials), MIN_BEST), max(num_trials // 2, 1))


def running_best(frame: pd.DataFrame, name: str, *, is_maximised: bool) -> pd.Series:
    """The best value up to each trial, of the finished trials, or of the stopped ones where none has finished.

    frame: columns `name`, status and is_allowed. Trials that break a constraint of the search do not count.
    """
    is_finished = frame["status"] == "finished"
    is_counted = is_finished if is_finished.any() else frame["status"] == "stopped"
    counted = frame[name].where(is_counted & frame["is_allowed"])
    return (counted.cummax() if is_maximised else counted.cummin()).ffill()


def goal_label(name: str, *, is_maximised: bool, lines: int = 1) -> str:
    """An objective with its unit, and which way is better, on one line or two."""
    better = "higher is better" if is_maximised else "lower is better"
    separator = " " if lines == 1 else "\n"
    return f"{metric_label(name)}{separator}({', '.join(filter(None, [metric_of(name).unit, better]))})"
