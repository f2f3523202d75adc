"""The two tables of a study, read and checked: all that analysis knows of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from analysis.errors import AnalysisError

REBUILD = "`spikeslab collect STUDY` rebuilds it from MLflow, `spikeslab run` trains what is missing"

STATUSES = ("finished", "stopped", "diverged", "failed", "running")
PHASES = ("search", "select", "confirm")

NOT_SETTINGS = {
    **dict.fromkeys(("trial_id", "study", "phase", "status", "sampler", "scheduler"), "text"),
    **dict.fromkeys(("objectives", "directions", "violates", "mlflow_run_id", "device", "evaluated"), "text"),
    **dict.fromkeys(("error", "stopped_by"), "text"),
    **dict.fromkeys(("seed", "epochs_trained", "train_seconds", "peak_memory_mb"), "number"),
}
"""The columns that say which trial it is or how it went. Every other column without a slash is a setting."""

NAMED_SETTINGS = {
    **dict.fromkeys(("dataset", "model", "hidden", "gamma_link", "sharpness_schedule"), "text"),
    **dict.fromkeys(("initialisation", "pixel_scaling", "precision"), "text"),
    **dict.fromkeys(("latent_dim", "alpha", "beta", "learning_rate", "gamma_clamp", "sharpness"), "number"),
    **dict.fromkeys(("batch_size", "epochs", "num_validation"), "number"),
}
"""The settings that figures and claims ask for by name. A table may hold others, of whatever type they are."""

# Of these a table may lack some.
OPTIONAL = (
    *("violates", "mlflow_run_id", "train_seconds", "peak_memory_mb"),
    *("device", "evaluated", "error", "stopped_by"),
)
TRIAL_COLUMNS = {name: kind for name, kind in {**NOT_SETTINGS, **NAMED_SETTINGS}.items() if name not in OPTIONAL}
HISTORY_COLUMNS = {"trial_id": "text", "epoch": "number", "train/loss": "number"}
NEVER_EMPTY = (
    *("trial_id", "status", "dataset", "model", "latent_dim", "epochs", "seed", "epoch"),
    *("phase", "sampler", "scheduler", "objectives", "directions"),
)


class TableError(AnalysisError):
    """A table that cannot be used: the file, the column, and what to do."""


@dataclass(frozen=True)
class Tables:
    """trials: one row per trial, settings and final metrics. history: one row per trial and epoch.

    Trials stand in the order in which they were planned or proposed. exhibits: the folder of the arrays that they
    stored for the qualitative figures, if they did; see `analysis.tables.exhibits`.
    """

    trials: pd.DataFrame
    history: pd.DataFrame
    exhibits: Path | None = None


def load_tables(folder: Path) -> Tables:
    """Read `trials.parquet` and `history.parquet` of one study, and see whether it has exhibits.

    Infinite values become NaN.
    """
    trials_file, history_file = folder / "trials.parquet", folder / "history.parquet"
    trials = _read(trials_file, TRIAL_COLUMNS)
    history = _read(history_file, HISTORY_COLUMNS)
    _refuse_duplicates(trials, ["trial_id"], trials_file)
    _refuse_duplicates(history, ["trial_id", "epoch"], history_file)
    for column, known in (("status", STATUSES), ("phase", PHASES)):
        unknown = sorted(set(trials[column]) - set(known))
        if unknown:
            raise TableError(
                f"{trials_file}: column {column} has {unknown[0]!r}, which is none of {', '.join(known)}; {REBUILD}."
            )
    if "test/loss" not in history:
        history["test/loss"] = float("nan")  # with images held out, the test set is measured only at the end
    exhibits = folder / "exhibits"
    return Tables(trials, history, exhibits if exhibits.is_dir() else None)


def of_search(tables: Tables) -> Tables:
    """The trials that were planned or proposed, without those that trained the best of them again."""
    trials = tables.trials[tables.trials["phase"] == "search"]
    return replace(tables, trials=trials, history=tables.history[tables.history["trial_id"].isin(trials["trial_id"])])


def join_studies(tables: Mapping[str, Tables]) -> Tables:
    """The tables of several studies as one, by name: both have it as `study`, since studies may share trials.

    Without exhibits: their figures are of one study.
    """
    trials = pd.concat([one.trials.assign(study=name) for name, one in tables.items()], ignore_index=True)
    history = pd.concat([one.history.assign(study=name) for name, one in tables.items()], ignore_index=True)
    filled = {}
    for setting in settings_of(trials):
        if older := [name for name, one in tables.items() if setting not in one.trials]:
            filled[setting] = _fill_later_setting(trials, setting, trials["study"].isin(older))
    return Tables(pd.DataFrame({name: filled.get(str(name), column) for name, column in trials.items()}), history)


def settings_of(trials: pd.DataFrame) -> list[str]:
    """The columns that hold settings; the seed is none."""
    return [str(name) for name in trials.columns if "/" not in str(name) and name not in NOT_SETTINGS]


def _fill_later_setting(trials: pd.DataFrame, setting: str, is_older: pd.Series) -> pd.Series:
    """Fill in a setting that was added after some of the tables were written.

    Their trials get the one value that all later trials of the model have. Where those differ it stays unknown, NaN.
    """
    column = trials[setting].copy()
    for model, known in trials[~is_older].groupby("model")[setting]:
        if known.nunique(dropna=False) == 1:
            column[is_older & (trials["model"] == model)] = known.iloc[0]
    return column


def _read(file: Path, columns: Mapping[str, str]) -> pd.DataFrame:
    if not file.is_file():
        raise TableError(f"{file} does not exist; {REBUILD}.")
    try:
        table = pd.read_parquet(file, engine="pyarrow")
    except UnicodeEncodeError:  # a ValueError, too, and no fault of the file
        raise TableError(f"{file}: its name is not UTF-8, so that it cannot be read; rename the folder.") from None
    except (OSError, ValueError) as error:  # pyarrow's errors are both
        raise TableError(f"{file} is cut short or not a Parquet file; {REBUILD}.") from error
    for name in columns:
        if table.empty and "/" in name and name not in table.columns:
            table[name] = float("nan")  # nothing has been measured yet
        if name not in table.columns:
            raise TableError(f"{file} has no column {name}; {REBUILD}.")
    metrics = [str(name) for name in table.columns if "/" in str(name)]
    kinds = {**dict.fromkeys(metrics, "number"), **NOT_SETTINGS, **columns}
    names = map(str, table.columns)
    # In one step: a table of more than a hundred columns, set one by one, is slow in all that follows.
    infinite = float("inf"), -float("inf")
    checked = {name: _checked(table[name], kinds.get(name) or _kind_of(table[name]), file) for name in names}
    return pd.DataFrame(
        {n: column.replace(infinite, float("nan")) if n in metrics else column for n, column in checked.items()}
    )


def _kind_of(column: pd.Series) -> str:
    """The kind of a setting that nothing here asks for by name."""
    return "number" if _holds_numbers(column) else "text"


def _holds_numbers(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)


def _checked(column: pd.Series, kind: str, file: Path) -> pd.Series:
    """The column as text or as numbers; one that is wholly empty has no type and takes that of `kind`."""
    dtype, name = column.dtype, column.name
    if name in NEVER_EMPTY and column.isna().any():
        raise TableError(f"{file}: column {name} has empty cells; {REBUILD}.")
    if column.isna().all():
        return column.astype("str" if kind == "text" else "float64")
    fits = _holds_numbers(column) if kind == "number" else pd.api.types.is_string_dtype(dtype)
    if not fits:
        raise TableError(f"{file}: column {name} should hold {kind}, not {dtype}; {REBUILD}.")
    if kind == "text":
        return column.astype("str")
    is_whole = pd.api.types.is_integer_dtype(dtype) and not column.isna().any()
    return column.astype("int64" if is_whole else "float64")  # pandas' nullable types have their own NA


def _refuse_duplicates(table: pd.DataFrame, key: list[str], file: Path) -> None:
    doubled = table[table.duplicated(key)]
    if not doubled.empty:
        trial_id = doubled["trial_id"].iloc[0]
        raise TableError(f"{file}: {' and '.join(key)} must be unique, {trial_id} is doubled; {REBUILD}.")
