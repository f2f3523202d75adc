"""Describe a study without running it: what is planned, what is done, what failed."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from analysis.tables import TableError, load_tables
from harness.errors import InputError
from harness.ledger.names import TRIALS
from harness.ledger.provenance import describe_changes
from harness.ledger.result import DONE, FAILED, Result, list_violated
from harness.ledger.trainings import Trainings
from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder
from harness.plugins.use import describe_plugins
from harness.progress import format_duration
from harness.search.grid_and_random import count_epochs_left
from harness.search.make_source import read_source
from harness.search.open_trials import is_open
from harness.storage.objects import in_parallel
from harness.storage.place import Place
from harness.study import Study
from harness.study.file import list_stored, load_found
from harness.study.largest import list_training_plugins
from harness.study.sections import ADAPTIVE_SAMPLERS, Resources
from models.numerics.machine import count_cores

MAX_ALIKE = 3  # trials that are named of those that failed alike
PHASES = {"search": "", "select": ", selecting", "confirm": ", confirming"}


def summarise_plan(study: Study, results: Place) -> RenderableType:
    """Describe the plan of a study: trials, done, left, by model and alpha, and the estimated time."""
    standings, unknown, notices = read_standings(study, results.folder)
    table = _new_table("model", "alpha", "trials", "done", "left", "epochs left")
    groups: dict[tuple[str, float | None], list[TrialStanding]] = {}
    for standing in standings:
        alpha = standing.trial.settings.alpha if study.search.sampler == "grid" else None
        name = f"{standing.trial.settings.model}{PHASES[standing.trial.phase]}"
        groups.setdefault((name, alpha), []).append(standing)
    for (model, alpha), members in groups.items():
        left = [standing for standing in members if standing.is_open]
        epochs = sum(standing.epochs_left for standing in left)
        table.add_row(
            model,
            "" if alpha is None else f"{alpha:g}",
            str(len(members)),
            str(len(members) - len(left)),
            str(len(left)),
            str(epochs),
        )
    for what, num in unknown.items():
        table.add_row(what, "", str(num), "0", str(num), "")
    lines: list[RenderableType] = [
        f"{study.name} on {study.dataset}",
        *(Text(notice, no_wrap=True, overflow="ignore") for notice in notices),
        table,
        *_describe_constraints(study, standings),
        _estimate(study, standings, sum(unknown.values())),
    ]
    longest: dict[str, int] = {}
    for trial in (standing.trial for standing in standings):
        longest[trial.training_id] = max(longest.get(trial.training_id, 0), trial.settings.epochs)
    separate = sum(standing.trial.settings.epochs for standing in standings)
    if saved := separate - sum(longest.values()):
        lines.append(
            f"Epochs saved: {saved:,} of {separate:,}, as trials that differ only in epochs are parts of one training."
        )
    return Group(*lines)


def summarise_status(study: Study, results: Place) -> RenderableType:
    """Describe the status of a study: trials by state, whether it is running now, what failed."""
    folder = results.folder / study.name
    standings: list[TrialStanding] = []
    notices: Sequence[str] = ()
    counts = _count_published(folder)
    if not (is_published := bool(counts)):
        standings, unknown, notices = read_standings(study, results.folder, as_recorded=True)
        counts = Counter(standing.status for standing in standings)
        counts["waiting"] += sum(unknown.values())
    table = _new_table("state", "trials")
    for name in ("finished", "stopped", "diverged", "failed", "begun", "running", "waiting"):
        if counts[name]:
            table.add_row(name, str(counts[name]))
    lines: list[RenderableType] = [
        f"{study.name}: {'running now' if results.is_held(study.name) else 'not running'}",
        *(Text(notice, no_wrap=True, overflow="ignore") for notice in notices),
        table,
        *([] if is_published else _describe_constraints(study, standings)),
    ]
    for standing in standings:
        if standing.status == "begun":
            s = standing.trial.settings
            lines.append(f"begun: {standing.trial.label}, {standing.num_stored} of {s.epochs} epochs stored")
    lines += _group_failures(standings, results)
    if is_published:
        lines.append(
            "Its tables are here, as published, and can be drawn; its trials are not, and a run would train them again."
        )
    return Group(*lines)


def _describe_constraints(study: Study, standings: Sequence["TrialStanding"]) -> list[Text]:
    """Say how many trials of a search break its constraints, if it has any."""
    constraints = study.search.constraints
    if not constraints:
        return []
    known = [s.result for s in standings if s.trial.phase == "search" and s.status in DONE and s.result]
    num_broken = sum(bool(list_violated(result, constraints)) for result in known)
    kept_to = ", ".join(map(str, constraints))
    return [Text(f"The best are to keep to {kept_to}: {num_broken} of {len(known)} trials that ended do not.")]


def summarise_studies(results: Place) -> RenderableType:
    """Describe every study of a results folder in a row: how many of its trials are done, diverged, failed, left.

    Raises:
        InputError: there are none.
    """
    names = list_stored(results.folder)
    if not names:
        raise InputError(f"{results.address}: no study has results there; run one first, or give --results")
    table = _new_table("study", "trials", "done", "diverged", "failed", "left", "")
    trainings = Trainings(results.folder)
    for name, is_held in zip(names, in_parallel(results.is_held, names), strict=True):
        folder = results.folder / name
        note = "running now" if is_held else ""
        try:
            if counts := _count_published(folder):
                note = note or "tables"
            else:
                loaded = load_found(folder / "study.yaml", results.folder)
                standings, unknown, _ = read_standings(loaded, results.folder, as_recorded=True, trainings=trainings)
                counts = Counter(standing.status for standing in standings) + Counter(unknown)
        except (InputError, TableError) as problem:  # the others are listed
            table.add_row(name, "", "", "", "", "", Text(str(problem)))
            continue
        ended = sum(counts[status] for status in DONE), counts["diverged"], counts["failed"]
        table.add_row(name, *map(str, (counts.total(), *ended, counts.total() - sum(ended))), note)
    return table


def _count_published(folder: Path) -> Counter[str]:
    """Count the trials of published tables, which need neither states nor dataset, by status.

    There are none where states lie beside the tables, nor where a run ended before its first trial began.
    """
    if not (folder / "trials.parquet").exists() or (folder / TRIALS).exists():
        return Counter()
    return Counter(map(str, load_tables(folder).trials["status"]))


def _group_failures(standings: Sequence["TrialStanding"], results: Place) -> list[Text]:
    """Why trials failed or diverged: the reason once, with its trials; epochs and other numbers make no difference."""

    def find_log(standing: TrialStanding) -> Path:
        results.fetch_file(standing.folder.log)
        return standing.folder.log

    groups: dict[tuple[str, str], list[TrialStanding]] = {}
    for standing in standings:
        if standing.result is not None and standing.status in FAILED:
            groups.setdefault((standing.status, re.sub(r"\d+", "", standing.result.error or "")), []).append(standing)
    lines: list[Text] = []  # Text, so that brackets in an error, as in [Errno 28], are not read as markup
    for (status, _), alike in groups.items():
        first = alike[0]
        assert first.result is not None
        if len(alike) == 1:
            lines.append(Text(f"{status}: {first.trial.label}: {first.result.error} ({find_log(first)})"))
            continue
        lines.append(Text(f"{status}, {len(alike)} trials, such as: {first.result.error}"))
        lines += [Text(f"  {standing.trial.label} ({find_log(standing)})") for standing in alike[:MAX_ALIKE]]
        if len(alike) > MAX_ALIKE:
            lines.append(Text(f"  and {len(alike) - MAX_ALIKE} more"))
    return lines


class TrialStanding:
    """How a trial stands: what is stored of it, and what is left to train."""

    def __init__(self, study: Study, trial: Trial, folder: Path, trainings: Trainings) -> None:
        self.trial, self.folder = trial, TrialFolder(folder, trial, trainings=trainings)
        self.result: Result | None = self.folder.read_result()
        self.is_open = is_open(study, trial, self.result)
        self.epochs_left = 0  # to be trained for this trial
        state, epochs = self.folder.find_state() if self.is_open else (None, [])
        self.num_known = len(epochs)  # epochs that need not be trained again, in whichever study they are stored
        self.num_stored = len(epochs) if state is not None and state.parent == self.folder.path else 0
        self.status: str = self.result.status if self.result else ("begun" if self.num_stored else "waiting")


def read_standings(
    study: Study, results: Path, *, as_recorded: bool = False, trainings: Trainings | None = None
) -> tuple[list[TrialStanding], dict[str, int], Sequence[str]]:
    """Read the trials known so far, how many are not known yet, by the reason, and what begins anew.

    as_recorded: see `read_source`. trainings: of these results, where they were listed for other studies, too.
    """
    folder, trainings = results / study.name, trainings or Trainings(results)
    source = read_source(study, folder, as_recorded=as_recorded)
    standings = [TrialStanding(study, trial, folder, trainings) for trial in source.trials]
    left = count_epochs_left((standing.trial, standing.num_known) for standing in standings if standing.is_open)
    for standing in standings:
        standing.epochs_left = left.get(standing.trial.trial_id, 0)
    num_unknown = source.num_trials - len(standings)
    num_proposed = sum(standing.trial.phase == "search" for standing in standings)
    is_adaptive = study.search.sampler in ADAPTIVE_SAMPLERS
    num_unproposed = min(max((study.search.num_trials or 0) - num_proposed, 0), num_unknown) if is_adaptive else 0
    unknown = {
        f"not yet proposed by {study.search.sampler}": num_unproposed,
        "to confirm the best": num_unknown - num_unproposed,
    }
    return (
        standings,
        {what: num for what, num in unknown.items() if num},
        (
            *describe_changes(folder, describe_plugins(list_training_plugins(study))),
            *source.notices,
        ),
    )


def _estimate(study: Study, standings: list[TrialStanding], unknown: int) -> str:
    """Estimate the time left from the epochs measured so far."""
    longest = max((standing.trial.settings.epochs for standing in standings), default=0)
    epochs_left = sum(standing.epochs_left for standing in standings) + unknown * longest
    if not epochs_left and not unknown:
        return "Nothing is left to train."
    rate = find_epoch_seconds(standing.result for standing in standings)
    if rate is None:
        return "Estimated time: unknown until the first trial has ended."
    slots = count_slots_here(study.resources)
    if slots is None:
        return "Estimated time: unknown; with gpu: auto, the run finds out how many trials share a card."
    seconds = epochs_left * rate / slots
    where = "on one GPU" if study.resources.gpu else "on this machine"
    return f"Estimated time: {format_duration(seconds)} {where} ({slots} trials at once)"


def find_epoch_seconds(results: Iterable[Result | None]) -> float | None:
    """How long an epoch took to train, in seconds, as the median over trials; None if none has trained one."""
    ended = (result for result in results if result is not None and result.epochs_trained)
    return median(seconds) if (seconds := [result.train_seconds / result.epochs_trained for result in ended]) else None


def count_slots_here(resources: Resources) -> int | None:
    """How many trials this machine would run at once, with one graphics card; None where a run has to find it out."""
    if resources.gpu == "auto":
        return None
    return max(resources.count_on_machine({"CPU": count_cores(), "GPU": 1}), 1)


def _new_table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 else "right")
    return table
