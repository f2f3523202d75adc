"""A study at a glance, without running any of it: what is planned, what is done."""

import os
from collections import Counter
from pathlib import Path
from statistics import median

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.datasets import load_dataset
from harness.files import is_locked
from harness.ledger import Result, Trial, TrialFolder
from harness.progress import format_duration
from harness.search import is_open, make_source
from harness.study import Study


def summarise_plan(study: Study, results: Path, data_dir: Path | None) -> RenderableType:
    """Trials, done, left and estimated time, for each model and alpha."""
    states, unknown = _read(study, results, data_dir)
    table = _new_table("model", "alpha", "trials", "done", "left", "epochs left")
    groups: dict[tuple[str, float | None], list[_State]] = {}
    for state in states:
        alpha = state.trial.settings.alpha if study.search.sampler == "grid" else None
        groups.setdefault((state.trial.settings.model, alpha), []).append(state)
    for (model, alpha), members in groups.items():
        left = [state for state in members if state.is_open]
        epochs = sum(state.epochs_left for state in left)
        table.add_row(
            model,
            "" if alpha is None else f"{alpha:g}",
            str(len(members)),
            str(len(members) - len(left)),
            str(len(left)),
            str(epochs),
        )
    if unknown:
        table.add_row(f"not yet proposed by {study.search.sampler}", "", str(unknown), "0", str(unknown), "")
    return Group(f"{study.name} on {study.dataset}", table, _estimate(study, states, unknown))


def summarise_status(study: Study, results: Path, data_dir: Path | None) -> RenderableType:
    """How many trials are in which state, whether the study runs now, and what failed."""
    folder = results / study.name
    states, unknown = _read(study, results, data_dir)
    counts = Counter(state.status for state in states)
    counts["waiting"] += unknown
    table = _new_table("state", "trials")
    for name in ("finished", "stopped", "diverged", "failed", "begun", "waiting"):
        if counts[name]:
            table.add_row(name, str(counts[name]))
    lines: list[RenderableType] = [
        f"{study.name}: {'running now' if is_locked(folder / '.lock') else 'not running'}",
        table,
    ]
    for state in states:
        if state.status == "begun":
            s = state.trial.settings
            lines.append(f"begun: {state.trial.label}, {s.epochs - state.epochs_left} of {s.epochs} epochs stored")
        elif state.result is not None and state.status in ("diverged", "failed"):
            log = TrialFolder(folder, state.trial.trial_id).log
            # As text: brackets in an error, as in [Errno 28], are no markup.
            lines.append(Text(f"{state.status}: {state.trial.label}: {state.result.error} ({log})"))
    return Group(*lines)


class _State:
    """One trial, and what the ledger has of it."""

    def __init__(self, study: Study, trial: Trial, folder: Path) -> None:
        place = TrialFolder(folder, trial.trial_id)
        self.trial = trial
        self.result: Result | None = place.read_result()
        self.is_open = is_open(study, self.result)
        stored = place.count_stored_epochs() if self.is_open else 0
        self.epochs_left = trial.settings.epochs - stored
        self.status: str = self.result.status if self.result else ("begun" if stored else "waiting")


def _read(study: Study, results: Path, data_dir: Path | None) -> tuple[list[_State], int]:
    """The trials known so far, and how many an adaptive sampler has still to propose."""
    dataset = load_dataset(study.dataset, data_dir)
    folder = results / study.name
    source = make_source(study, dataset, folder, read_only=True)
    return [_State(study, trial, folder) for trial in source.trials], max(source.num_trials - len(source.trials), 0)


def _estimate(study: Study, states: list[_State], unknown: int) -> str:
    """Time left, from the epochs measured so far."""
    longest = max((state.trial.settings.epochs for state in states), default=0)
    epochs_left = sum(state.epochs_left for state in states if state.is_open) + unknown * longest
    if not epochs_left and not unknown:
        return "Nothing is left to train."
    measured = [
        state.result.train_seconds / state.result.epochs_trained
        for state in states
        if state.result is not None and state.result.epochs_trained
    ]
    if not measured:
        return "Estimated time: unknown until the first trial has ended."
    slots = max(int((os.cpu_count() or 1) // study.resources.num_cpus), 1)
    seconds = epochs_left * median(measured) / slots
    return f"Estimated time: {format_duration(seconds)} on this machine ({slots} trials at once)"


def _new_table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 else "right")
    return table
