"""Publish studies: train what a list of them still lacks, and keep their tables in a folder of the repository."""

import os
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from rich.console import Console
from rich.table import Table

from analysis.tables import TableError, load_tables
from analysis.wording import plural
from harness.commands.overview import count_slots_here, find_epoch_seconds
from harness.commands.run import run_study
from harness.errors import InputError
from harness.interruption import Interrupted
from harness.ledger.provenance import describe_checkout, is_current
from harness.ledger.published import PublishedTrials, is_measured, publish_tables, take_published
from harness.ledger.result import Result
from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder
from harness.paths import read_text
from harness.progress import format_duration
from harness.search.grid_and_random import count_epochs_to_train
from harness.search.make_source import read_source
from harness.search.open_trials import is_open, read_ended
from harness.search.source import Source
from harness.storage.local import check_writable, locked
from harness.storage.place import Folder
from harness.study import Study
from harness.study.file import dump_study, find_study, format_study_file, load_found, load_study
from harness.study.sections import ADAPTIVE_SAMPLERS
from harness.study.yamlfile import find_line, format_inline, read_yaml_mapping


class Entry(BaseModel):
    """A study to publish, with what is changed of its file."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    study: str
    set: Mapping[str, Any] = Field(default_factory=dict)
    without_gpu: Mapping[str, Any] = Field(default_factory=dict)


class _List(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    studies: Sequence[Entry]


@dataclass(frozen=True)
class Publication:
    """One study of the list, with what is known of it: among what is published, and in the results here."""

    study: Study
    text: str  # of its file, as it is published
    results: Path
    into: Path
    published: PublishedTrials

    @property
    def folder(self) -> Path:
        """Where it is trained."""
        return self.results.absolute() / self.study.name

    @cached_property
    def source(self) -> Source:
        """Its trials, as far as they are known."""
        return read_source(self.study, self.folder)

    @cached_property
    def is_whole(self) -> bool:
        """Whether it is published as it is asked for: the same study, each trial of it, by today's semantics."""
        place = self.into / self.study.name
        try:
            stored = load_study(place / "study.yaml")
            trials = load_tables(place).trials
        except (InputError, TableError):
            return False
        one, other = (dump_study(study.model_copy(update={"notify": None})) for study in (stored, self.study))
        if one != other or not is_measured(trials, self.study.measures.evaluated):
            return False
        if self.study.search.sampler in ADAPTIVE_SAMPLERS or self.study.confirm is not None:
            # What it proposes is known to its sampler alone.
            return is_current(place) and len(trials) >= (self.study.search.num_trials or 0)
        return list(trials["trial_id"]) == [trial.trial_id for trial in self.source.trials]

    @cached_property
    def left(self) -> list[Trial]:
        """The trials known so far that still have to be trained or measured."""
        return [trial for trial in ([] if self.is_whole else self.source.trials) if self._is_left(trial)]

    def _is_left(self, trial: Trial) -> bool:
        """Whether its result here leaves it open; where there is none, whether no published one ends it."""
        own = TrialFolder(self.folder, trial).read_result()
        return self.published.find(trial, self.has_ended) is None if own is None else is_open(self.study, trial, own)

    def has_ended(self, trial: Trial, result: Result) -> bool:
        """Whether a trial with this result need not run."""
        return not is_open(self.study, trial, result)

    @property
    def num_unknown(self) -> int:
        """How many trials its search has still to propose or to confirm."""
        return 0 if self.is_whole else self.source.num_trials - len(self.source.trials)

    def estimate_seconds(self, left: Iterable[Trial]) -> float | None:
        """Estimate the time that training takes, without measures: by the rate of its own trials here that ended.

        Where none has, by the rate of what is published on the same dataset; None if that is none either.
        """
        longest = max((trial.settings.epochs for trial in self.source.trials), default=100)
        epochs = sum(count_epochs_to_train(left, self.folder).values()) + self.num_unknown * longest
        ended = (TrialFolder(self.folder, trial).read_result() for trial in self.source.trials)
        rate = find_epoch_seconds(ended) or self.published.find_seconds_per_epoch(self.study.dataset)
        slots = count_slots_here(self.study.resources)
        return 0.0 if not epochs else epochs * rate / slots if rate and slots else None


def read_list(path: Path) -> list[Entry]:
    """Read the list of studies to publish.

    Raises:
        InputError: one sentence that names the file, the line, the field and the fix.
    """
    text = read_text(path, "give the list of the studies to publish, a YAML file")
    content, lines = read_yaml_mapping(text, path)
    try:
        return list(_List.model_validate(content).studies)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        line = find_line(lines, first["loc"])
        place = f"{path}:{line}" if line else path
        raise InputError(
            f"{place}: {'.'.join(map(str, first['loc']))}: {first['msg'].lower()}; write "
            "`studies:` and for each of them `- study: NAME`, with `set:` and `without_gpu:` where its file is changed"
        ) from None


def plan_publication(entries: Sequence[Entry], *, into: Path, results: Path) -> list[Publication]:
    """Find out what is published, what is trained here, and what is left, for each study of a list.

    Raises:
        InputError: a study's file is missing or wrong, or is listed twice.
    """
    import torch

    published = PublishedTrials(into)
    planned: dict[str, Publication] = {}
    for entry in entries:
        changes = dict(entry.set) if torch.cuda.is_available() else {**entry.set, **entry.without_gpu}
        path = find_study(entry.study, results)
        study = load_found(path, results, [f"{key}={format_inline(value)}" for key, value in changes.items()])
        if study.name in planned:
            raise InputError(f"{entry.study}: it is listed twice; a study is published once")
        text = format_study_file(path, study, is_changed=bool(changes))
        planned[study.name] = Publication(study, text, results, into, published)
    return list(planned.values())


def tabulate(publications: Sequence[Publication]) -> Table:
    """What is left of each study, and for how long; a trial of several is left in the first of them."""
    table = Table(box=None, pad_edge=False)
    for name in ("study", "trials", "left", "training", ""):
        table.add_column(name, justify="left" if name in ("study", "") else "right")
    total, measured = 0.0, dict[str, set[str]]()
    for one in publications:
        evaluated = set(one.study.measures.evaluated)
        open_trials = [
            trial for trial in one.left if not (trial.trial_id in measured and evaluated <= measured[trial.trial_id])
        ]
        for trial in open_trials:
            measured.setdefault(trial.trial_id, set()).update(evaluated)
        num_left, seconds = len(open_trials) + one.num_unknown, one.estimate_seconds(open_trials)
        total += seconds or 0
        time = "" if not num_left else "unknown" if seconds is None else f"{format_duration(seconds)}"
        note = "published" if one.is_whole else "nothing to train" if not num_left else ""
        table.add_row(one.study.name, str(one.source.num_trials), str(num_left), time, note)
    table.add_row("all that is known", "", "", format_duration(total), "")
    return table


def publish_studies(
    publications: Sequence[Publication],
    console: Console,
    *,
    data_dir: Path | None = None,
    address: str | None = None,
    hours: float | None = None,
) -> bool:
    """Train what is missing of each study in turn, then copy what there is; returns whether all is published whole.

    address: of a Ray cluster; by default Ray runs on this machine. hours: after these it stops, as after Ctrl-C; what
    is training then goes on from its last epoch.

    Raises:
        InputError: the code has changes that no commit holds, or a study cannot be run.
        Interrupted: a signal asked to stop; all that was trained is copied.
    """
    if not publications:
        return True
    open_ones = [one for one in publications if not one.is_whole]
    if open_ones and (is_dirty := describe_checkout().get("git.dirty", "false")) != "false":
        fault, fix = (
            ("the checkout has changes that no commit holds", "commit them, those of published studies too")
            if is_dirty == "true"
            else ("git does not say whether a commit holds all changes", "let `git status` end here once")
        )
        raise InputError(f"{fault}, so that nobody could say what trained the results; {fix}, and publish again")
    check_writable(publications[0].into, 0, option="--into")
    is_over = threading.Event()
    begun: list[Publication] = []
    try:
        with _stopping_after(hours, is_over):
            for one in open_ones:
                _take(one)
                begun.append(one)
                _train(one, console, data_dir, address)
    except Interrupted:
        if not is_over.is_set():
            raise
    finally:  # whatever ended it: the tree is to hold what was trained
        wholes = [_copy(one, console) for one in begun]
    return len(wholes) == len(open_ones) and all(wholes)


def _take(one: Publication) -> None:
    """Store here what other machines have published of a study."""
    with locked(one.folder / ".lock", refusal=f"{one.folder}: study {one.study.name} is being run; wait for it"):
        take_published(one.published, one.source.trials, one.has_ended, one.folder)


def _train(one: Publication, console: Console, data_dir: Path | None, address: str | None) -> None:
    outcome = run_study(
        one.study, one.text, results=Folder(one.results), console=console, data_dir=data_dir, address=address
    )
    console.print(
        f"{one.study.name}: {outcome.num_done} of {plural(outcome.num_trials, 'trial')} done, "
        f"{outcome.num_trained} trained or measured now, in {format_duration(outcome.seconds)}.",
        soft_wrap=True,
    )
    if outcome.interrupted:
        raise Interrupted(outcome.interrupted)


def _copy(one: Publication, console: Console) -> bool:
    """Copy the tables of a study, if it has any that are complete; returns whether it is published whole."""
    try:
        told = set(load_tables(one.folder).trials["trial_id"])
    except TableError:
        return False
    source = read_source(one.study, one.folder)
    ended = [trial for trial in source.trials if read_ended(one.study, trial, one.folder) is not None]
    is_whole = len(ended) == len(source.trials) == source.num_trials
    is_search = one.study.search.sampler in ADAPTIVE_SAMPLERS
    if is_whole or (ended and not is_search):  # a search goes on where its sampler's history is
        if not told.issuperset(trial.trial_id for trial in ended):
            return False  # a run that was killed wrote no tables; what is published has no fewer trials
        place = publish_tables(one.folder, one.into, ended, is_whole=is_whole)
        console.print(f"{one.study.name}: {len(ended)} of {source.num_trials} trials are in {place}", soft_wrap=True)
    return is_whole


@contextmanager
def _stopping_after(hours: float | None, is_over: threading.Event) -> Iterator[None]:
    """Ask this process to end, as Ctrl-C does, after some hours; is_over is set then."""

    def stop() -> None:
        is_over.set()
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(3600 * hours, stop) if hours is not None else None
    if timer is not None:
        timer.daemon = True
        timer.start()
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()
