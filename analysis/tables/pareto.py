"""Which trials of a search with several objectives are on the front: none is as good in all and better in one."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.tables import Tables
from analysis.tables.objectives import final_values, goals
from analysis.tables.quiet_optuna import quiet_optuna
from analysis.tables.series import NothingToDrawError


def finished_values(tables: Tables) -> pd.DataFrame:
    """The `final_values` of finished trials that have a value of every objective, by the row of their trial.

    Raises:
        NothingToDrawError: none of them keeps to the constraints of the search.
    """
    if tables.trials.empty:
        raise NothingToDrawError("no trial has finished")
    names = [name for name, _ in goals(tables.trials)]
    reached = final_values(tables.trials, tables.history)
    reached = reached[(reached["status"] == "finished") & reached[names].notna().all(axis=1)]
    if not reached["is_allowed"].any():
        raise NothingToDrawError("no finished trial has a value of every objective and keeps to the constraints")
    return reached


def find_front(values: pd.DataFrame, is_up: Sequence[bool]) -> np.ndarray:
    """Which rows Optuna's `best_trials` names, as a mask; one column per objective, NaN in rows that do not count."""
    counted = np.flatnonzero(values.notna().all(axis=1))
    with quiet_optuna() as optuna:
        study = optuna.create_study(directions=["maximize" if up else "minimize" for up in is_up])
        study.add_trials([optuna.trial.create_trial(values=row) for row in values.to_numpy(float)[counted].tolist()])
        return np.isin(np.arange(len(values)), counted[[trial.number for trial in study.best_trials]])
