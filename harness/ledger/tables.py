"""The two tables of a study's results: one has a row for each trial, the other a row for each trial and epoch."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from harness.columns import AFTER_SETTINGS, BEFORE_SETTINGS
from harness.ledger.result import Result, list_violated
from harness.ledger.trial import Trial
from harness.storage.local import write_atomically
from harness.study import Study
from models.setting import SETTING_TYPES, SETTINGS
from models.settings import FIELDS


def _column_type(setting: str) -> str:
    kind = SETTING_TYPES[setting]
    if kind in (int, int | None):
        return "Int64"
    return "float64" if kind in (float, float | None) else "string"  # text, or a JSON list


TRIAL_COLUMNS: Mapping[str, str] = {
    **BEFORE_SETTINGS,
    **{setting: _column_type(setting) for setting in FIELDS},
    **AFTER_SETTINGS,
}
"""The columns that every table of trials has; those of plug-ins' settings and the final metrics, as float64, follow."""


SEPARATOR = "; "
"""Between the evaluations of a row."""


def build_tables(
    study: Study,
    trials: Iterable[tuple[Trial, Result]],
    run_ids: Mapping[str, str],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Build both tables, with a row for each trial and for each of its epochs, in the order of the trials."""
    search = {
        "study": study.name,
        "sampler": study.search.sampler,
        "scheduler": study.scheduler.name,
        "objectives": json.dumps(study.objectives),
        "directions": json.dumps(study.directions),
    }
    rows: list[dict[str, Any]] = []
    history: list[dict[str, Any]] = []
    for trial, ended in trials:
        result = replace(ended, history=list(ended.history))  # which may be packed
        settings = {k: json.dumps(v) if isinstance(v, list) else v for k, v in trial.settings.to_dict().items()}
        rows.append(
            settings
            | search
            | {
                "trial_id": trial.trial_id,
                "phase": trial.phase,
                "status": result.status,
                "dataset": trial.dataset,
                "epochs_trained": result.epochs_trained,
                "mlflow_run_id": run_ids.get(trial.trial_id),
                "train_seconds": result.train_seconds,
                "peak_memory_mb": result.peak_memory_mb,
                "violates": "; ".join(map(str, list_violated(result, study.constraints_of(trial.phase)))) or None,
                "device": result.device,
                "evaluated": SEPARATOR.join(result.evaluated) or None,
                "error": result.error,
                "stopped_by": result.stopped_by,
            }
            | result.metrics
        )
        history += [{"trial_id": trial.trial_id, **row} for row in result.history]
    columns = {**TRIAL_COLUMNS, **{name: _column_type(name) for name in SETTINGS if name not in FIELDS}}
    metrics = sorted({name for row in rows for name in row} - columns.keys())
    trials_table = pd.DataFrame(rows, columns=[*columns, *metrics])
    trials_table = trials_table.astype({**columns, **dict.fromkeys(metrics, "float64")})
    names = sorted({name for row in history for name in row} - {"trial_id", "epoch"})
    history_table = pd.DataFrame(history, columns=["trial_id", "epoch", *names])
    types = {"trial_id": "string", "epoch": "Int64", **dict.fromkeys(names, "float64")}
    return trials_table, history_table.astype(types)


def write_tables(folder: Path, tables: tuple[pd.DataFrame, pd.DataFrame]) -> list[Path]:
    """Write both tables, each atomically; returns their paths.

    tables: of trials, and of epochs, which are written first: who reads both meanwhile finds the epochs of each trial.
    """
    paths = [folder / "trials.parquet", folder / "history.parquet"]
    for path, table in reversed([*zip(paths, tables, strict=True)]):
        write_atomically(path, lambda temporary, table=table: table.to_parquet(temporary, index=False))  # type: ignore[misc]
    return paths
