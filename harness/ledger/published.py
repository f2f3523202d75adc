"""Published results: tables and exhibits of studies without the states of trials, small enough for a repository.

studies/published/<study>/              whole: every trial that its file asks for has ended
studies/published/unfinished/<study>/   the trials that have ended, where others are still to be trained

A trial's row and history are all of its result, so that a run on another machine takes it over from there, and trains
what is missing alone.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import pandas as pd

from analysis.tables import TableError, Tables, load_tables
from harness.columns import AFTER_SETTINGS
from harness.ledger.names import EXHIBITS, PROVENANCE
from harness.ledger.provenance import adopt_provenance
from harness.ledger.result import Result, Row
from harness.ledger.tables import SEPARATOR, TRIAL_COLUMNS, write_tables
from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder
from models.setting import SETTINGS

UNFINISHED = "unfinished"
"""The folder of studies that are not published whole, among those that are."""

KEPT = ("finished", "stopped", "diverged")
"""How trials that are published have ended."""

HasEnded = Callable[[Trial, Result], bool]
"""Whether a trial with this result need not run: it is measured as asked for, and no rule of old stopped it early."""


class PublishedTrials:
    """The trials that the tables of a folder hold, of whatever study: one trial has one result."""

    def __init__(self, folder: Path) -> None:
        self._tables: dict[Path, Tables] = {}
        self._homes: dict[str, list[Path]] = {}
        for path in sorted([*folder.glob("*/trials.parquet"), *folder.glob(f"{UNFINISHED}/*/trials.parquet")]):
            try:
                tables = load_tables(path.parent)
            except TableError:  # said where the study is drawn
                continue
            if "evaluated" in tables.trials:  # older tables do not say what their numbers are of
                self._tables[path.parent] = tables
                for trial_id in tables.trials["trial_id"]:
                    self._homes.setdefault(str(trial_id), []).append(path.parent)

    def find(self, trial: Trial, has_ended: HasEnded) -> tuple[Result, Path] | None:
        """Find a trial that has ended; returns its result and the study's folder."""
        for home in self._homes.get(trial.trial_id, ()):
            result = self._read(home, trial.trial_id)
            if result.status in KEPT and has_ended(trial, result):
                return result, home
        return None

    def find_seconds_per_epoch(self, dataset: str) -> float | None:
        """How long an epoch on a dataset took to train, over all that is published of it; None if nothing says it."""
        known = [tables.trials for tables in self._tables.values() if "train_seconds" in tables.trials]
        trials = pd.concat([trials[trials["dataset"] == dataset] for trials in known]) if known else pd.DataFrame()
        num_epochs = 0 if trials.empty else float(trials["epochs_trained"].sum())
        return float(trials["train_seconds"].sum()) / num_epochs if num_epochs else None

    def _read(self, home: Path, trial_id: str) -> Result:
        trials, history = self._tables[home].trials, self._tables[home].history
        (row,) = trials[trials["trial_id"] == trial_id].to_dict("records")
        epochs = history[history["trial_id"] == trial_id].drop(columns="trial_id").sort_values("epoch")
        return read_row({str(name): value for name, value in row.items()}, epochs)


def is_measured(trials: pd.DataFrame, evaluated: Iterable[str]) -> bool:
    """Whether every trial of a table that finished was measured in all these ways; older tables do not say it."""
    if "evaluated" not in trials:
        return False
    found = trials.loc[trials["status"] == "finished", "evaluated"].fillna("")
    return all(set(evaluated) <= set(text.split(SEPARATOR)) for text in found.unique())


def read_row(row: Mapping[str, Any], epochs: pd.DataFrame) -> Result:
    """The result of a trial from its row of the one table and its rows of the other: `build_tables`, undone."""
    known = {name: row[name] for name in AFTER_SETTINGS if pd.notna(row.get(name))}
    metrics = {name: value for name, value in row.items() if name not in TRIAL_COLUMNS and name not in SETTINGS}
    history = [_drop_missing(epoch) for epoch in epochs.to_dict("records")]
    return Result(
        status=row["status"],
        history=cast("list[Row]", history),
        metrics={name: float(value) for name, value in metrics.items() if pd.notna(value)},
        evaluated=str(known["evaluated"]).split(SEPARATOR) if "evaluated" in known else [],
        error=known.get("error"),
        stopped_by=known.get("stopped_by"),
        peak_memory_mb=known.get("peak_memory_mb"),
        device=known.get("device"),
    )


def _drop_missing(epoch: Mapping[Any, Any]) -> dict[str, float | int]:
    return {
        str(name): int(value) if name in ("epoch", "step") else float(value)
        for name, value in epoch.items()
        if pd.notna(value)
    }


def take_published(published: PublishedTrials, trials: Iterable[Trial], has_ended: HasEnded, folder: Path) -> int:
    """Store what is published of trials that have no result in a study's folder; returns of how many."""
    num_taken = 0
    for trial in trials:
        own = TrialFolder(folder, trial)
        if own.read_result() is not None or (found := published.find(trial, has_ended)) is None:
            continue
        result, home = found
        own.path.mkdir(parents=True, exist_ok=True)
        for array in own.arrays.values():
            stored = home / EXHIBITS / array.name
            if stored.exists() and not array.exists():
                array.parent.mkdir(exist_ok=True)
                shutil.copyfile(stored, array)
        own.write_result(result)
        adopt_provenance(folder, home)
        num_taken += 1
    return num_taken


def publish_tables(study_folder: Path, into: Path, trials: Iterable[Trial], *, is_whole: bool) -> Path:
    """Copy the tables, the record and the exhibits of a study; returns where to. What stood there is replaced at once.

    trials: those to publish. is_whole: whether these are all that the study's file asks for.
    """
    name = study_folder.name
    place = into / name if is_whole else into / UNFINISHED / name
    place.parent.mkdir(parents=True, exist_ok=True)
    kept = list(trials)
    rows, epochs = (pd.read_parquet(study_folder / f"{table}.parquet") for table in ("trials", "history"))
    rows = rows[rows["trial_id"].isin([trial.trial_id for trial in kept]) & rows["status"].isin(KEPT)]
    epochs = epochs[epochs["trial_id"].isin(rows["trial_id"])]
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{name}-") as temporary:
        new = Path(temporary) / name
        new.mkdir()
        write_tables(new, (rows.reset_index(drop=True), epochs.reset_index(drop=True)))
        for file in ("study.yaml", PROVENANCE):
            if (study_folder / file).exists():
                shutil.copyfile(study_folder / file, new / file)
        for array in (path for trial in kept for path in TrialFolder(study_folder, trial).arrays.values()):
            if array.exists():
                (new / EXHIBITS).mkdir(exist_ok=True)
                shutil.copyfile(array, new / EXHIBITS / array.name)
        if place.exists():
            place.rename(Path(temporary) / "old")
        new.rename(place)
    if is_whole:
        shutil.rmtree(into / UNFINISHED / name, ignore_errors=True)
        if (into / UNFINISHED).exists() and not any((into / UNFINISHED).iterdir()):
            (into / UNFINISHED).rmdir()
    return place
