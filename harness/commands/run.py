"""Run a study: train what is missing of it, write its tables, draw its figures, end its MLflow run."""

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from analysis.wording import plural
from harness.cluster.connect import check_address, check_interpreter, check_not_elsewhere, quieten_ray
from harness.commands.console import clean
from harness.commands.notify import describe, explain_unheeded, tell, telling
from harness.commands.outcome import Outcome
from harness.commands.present import present_study
from harness.datasets import Dataset, load_dataset
from harness.errors import InputError, first_line
from harness.interruption import on_endings
from harness.ledger.fetching import PACK, fetch_study, held_still, pack_trials
from harness.ledger.names import DATASET, HISTORY_FILE, PROVENANCE
from harness.ledger.provenance import describe_changes, locate_plugins, record_provenance, store_plugins
from harness.ledger.recorded_dataset import record_dataset
from harness.ledger.result import DONE, list_violated
from harness.ledger.sharing import Sharing
from harness.ledger.trial_folder import TrialFolder
from harness.plugins.use import describe_plugins
from harness.progress import counting
from harness.search.make_source import make_source
from harness.search.source import Source
from harness.storage.local import check_writable, write_text_atomically
from harness.storage.objects import in_parallel
from harness.storage.place import Place
from harness.study import Study
from harness.study.file import hide_address
from harness.study.largest import list_training_plugins
from harness.study.notify import Target
from harness.tracking.mlflow_settings import quieten_mlflow
from harness.tracking.presentation import Presentation
from harness.tune.study_run import StudyRun
from models.networks.counting import count_parameters

PARENT_FILES = ("study.yaml", "resolved.json", DATASET, PROVENANCE, HISTORY_FILE)
"""Files of a study's folder that are stored in its parent run."""


def run_study(
    study: Study,
    study_text: str,
    *,
    results: Place,
    console: Console,
    data_dir: Path | None = None,
    address: str | None = None,
    notify: Target | None = None,
    draw: Callable[[Path], list[Path]] = lambda _: [],
) -> Outcome:
    """Train what is missing of a study, then write its tables and draw its figures.

    results: has a folder for each study. notify: whom to tell of the end; by default whom the study
    names. draw: draws figures from the tables in a study's folder, and returns their paths; they are stored in the
    parent run.

    Raises:
        InputError: a dataset is missing, the results cannot be written to, the study is running already, or Ray cannot
            be used.
    """
    study_text = hide_address(study_text, study)
    say = partial(console.print, soft_wrap=True)
    whom, folder = notify or study.notify, results.folder.absolute() / study.name
    if not notify and (unheeded := explain_unheeded(study)):
        say(unheeded)
    with telling(study, whom, say) as note:
        dataset = _load(study, results, data_dir, address, console)
        where = f"{results.address}/{study.name}" if results.is_remote else folder
        refusal = f"{where}: study {study.name} is being run by another process; wait for it, or stop it"
        with results.hold(study.name, refusal) as hold:
            with held_still(results, study.name):
                fetch_study(results, study.name)
            with Sharing(results, folder, hold) as sharing:
                source = make_source(study, dataset, folder, place=results)
                changes = describe_changes(folder, describe_plugins(list_training_plugins(study)))
                for notice in (*changes, *source.notices):
                    say(notice)
                check_writable(folder, 0 if results.is_remote else _estimate_bytes(source, folder, dataset))
                write_text_atomically(folder / "study.yaml", study_text)
                _write_resolved(folder, study, source)
                record_dataset(folder, dataset)
                run = StudyRun(study, source, folder, dataset, console, place=results)
                run.on_news, run.find_lost_hold, sharing.on_problem = sharing.soon, sharing.find_lost_hold, run.end_with

                def tell_failed() -> None:
                    tell(whom, describe(study, "failed", None, str(run.problem)), say)

                lose = partial(_end_without_head, run, sharing, tell_failed)
                with on_endings(run.request_stop):
                    outcome = _train_and_conclude(run, address, draw, lose)
        note(outcome)  # once all is shared and the study let go, which may fail, too
    return outcome


def _load(study: Study, results: Place, data_dir: Path | None, address: str | None, console: Console) -> Dataset:
    """Load the dataset, once all is well that can be looked at before it."""
    study.use_plugins()
    quieten_ray()
    quieten_mlflow()  # which Tune imports, too
    check_interpreter()
    check_not_elsewhere(address)
    check_address(address)
    if results.is_remote:  # before much is read: it may be out of reach
        results.check(study.name)
    with counting(console) as report:
        dataset = load_dataset(study.dataset, data_dir, report)
    if not results.is_remote:
        results.check(study.name)
    return dataset


def _train_and_conclude(
    run: StudyRun, address: str | None, draw: Callable[[Path], list[Path]], on_lost: Callable[[], NoReturn]
) -> Outcome:
    """Train the open trials, then write the tables, draw the figures and end the parent run.

    on_lost: called in another thread where the head of the cluster is gone.
    """
    num_notices = len(run.source.notices)  # which are on the screen; more may come
    first = run.source.next()
    if first is not None:
        run.place.remove(run.folder / PACK)
        record_provenance(run.folder, run.tags)
        store_plugins(run.folder, run.study.loaded_plugins)
        run.display.set_epochs_left(run.count_epochs_left(first))
        with run.display:
            from harness.tune.run import run_tune

            try:
                run_tune(run, first, address, on_lost=on_lost)
            except Exception:
                run.tracker.abandon()
                raise
    try:
        outcome = _conclude(run, draw)
        for notice in run.source.notices[num_notices:]:
            run.console.print(notice, soft_wrap=True)
    except OSError:
        if run.problem is None:
            raise
    if run.problem is not None:
        raise InputError(run.problem)
    return outcome


def _end_without_head(run: StudyRun, sharing: Sharing, tell: Callable[[], None]) -> NoReturn:
    """Conclude a run whose main thread waits within Ray for ever; Ray would end the process without a word.

    tell: tells somebody of the end.
    """
    try:
        _conclude(run, lambda _: [])
        sharing.__exit__(None, None, None)  # which the main thread will not come to
    except Exception as error:
        logging.getLogger(__name__).warning("not all could be stored (%s)", first_line(error))
    run.display.__exit__(None, None, None)
    sys.stderr.write(f"error: {clean(str(run.problem))}\n")
    tell()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(2)


def _conclude(run: StudyRun, draw: Callable[[Path], list[Path]]) -> Outcome:
    """Write the tables, draw the figures and end the parent run."""
    if run.is_stopping:  # whoever sent the signal may not wait long
        run.write_tables()
    run.tracker.flush()
    if run.find_lost_hold() is None:
        _write_resolved(run.folder, run.study, run.source)
    run.read_stored_results()
    results = run.collect_results()
    for trial in run.source.trials:  # whose last state may have been stored after the trial was sent
        if (result := results.get(trial.trial_id)) is not None and result.status == "stopped":
            run.tracker.update(trial, result)
    unsent = run.tracker.send_rest()
    tables = run.write_tables()  # with the ids of all runs that MLflow has by now
    figures = [] if run.is_stopping else _draw(run, draw)
    run.tracker.close(
        "KILLED" if run.is_stopping else "FINISHED",
        artifacts={
            None: [path for name in PARENT_FILES if (path := run.folder / name).exists()],
            "tables": tables,
            "figures": figures,
            **_group(run.folder, locate_plugins(run.folder, run.study.loaded_plugins)),
        },
        interrupted=[trial_id for trial_id, result in results.items() if result.status == "running"],
        shown=None if run.is_stopping else _present(run),
    )
    if run.tracker.problem:
        run.console.print(
            f"MLflow lacks {plural(unsent, 'trial') if unsent else 'some files'} of this study "
            f"({run.tracker.problem.reason}). Nothing is lost: "
            f"{run.tracker.problem.fix or 'run it again'}, {'and then' if run.tracker.problem.fix else 'or'} "
            f"`spikeslab collect {run.study.name}`, to send the rest.",
            soft_wrap=True,
        )
    _pack(run)
    known = [results.get(trial.trial_id) for trial in run.source.trials]
    return Outcome(
        num_trials=run.source.num_trials,
        num_done=sum(r is not None and r.status in DONE for r in known),
        num_diverged=sum(r is not None and r.status == "diverged" for r in known),
        num_failed=sum(r is not None and r.status == "failed" for r in known),
        num_trained=run.num_trained,
        num_epochs=run.num_epochs,
        best=_find_best(run),
        interrupted=run.interrupted,
        seconds=time.monotonic() - run.started,
        startup_seconds=run.startup_seconds,
    )


def _group(folder: Path, paths: Iterable[Path]) -> dict[str | None, list[Path]]:
    """Group files by the folder that they lie in, as it is called in a study's folder."""
    grouped: dict[str | None, list[Path]] = {}
    for path in paths:
        grouped.setdefault(path.parent.relative_to(folder).as_posix(), []).append(path)
    return grouped


def _pack(run: StudyRun) -> None:
    """Put the small files of all trials together, where that makes reading them faster, if they have changed."""
    if run.place.is_remote and not (run.folder / PACK).exists():
        results = run.collect_results()
        begun = [trial for trial in run.list_open() if trial.trial_id in results]
        in_parallel(lambda trial: TrialFolder(run.folder, trial, run.place).fetch(whole=False), begun)
        pack_trials(run.folder)


def _find_best(run: StudyRun) -> float | None:
    """The best value of the study's metric among trials of the search that keep its constraints."""
    results = run.collect_results()
    values = [
        value
        for trial in run.source.trials
        if trial.phase == "search" and (result := results.get(trial.trial_id)) is not None
        if result.status in DONE and not list_violated(result, run.study.search.constraints)
        if (value := result.last_value(run.study.metric)) is not None
    ]
    return (max if run.study.mode == "max" else min)(values, default=None)


def _draw(run: StudyRun, draw: Callable[[Path], list[Path]]) -> list[Path]:
    """Draw the figures; whatever goes wrong there, the study is trained, and is ended in MLflow."""
    try:
        return draw(run.folder)
    except Exception as error:
        run.console.print(
            f"The figures could not be drawn ({first_line(error)}); `spikeslab plot {run.study.name}` tries again.",
            soft_wrap=True,
        )
        return []


def _present(run: StudyRun) -> Presentation | None:
    """What MLflow is to show of the study; nothing where that goes wrong, which costs a page its text alone."""
    try:
        return present_study(run.study, run.place, run.source.trials, run.dataset.image_shape)
    except Exception as error:
        logging.getLogger(__name__).warning("MLflow's pages have no description (%s)", first_line(error))
        return None


def _estimate_bytes(source: Source, folder: Path, dataset: Dataset) -> int:
    """Estimate the disk space that checkpoints will take, in the trials' folders and in MLflow."""
    total = 0
    for trial in source.trials:
        if TrialFolder(folder, trial).list_own_states():
            continue
        # stored twice; parameters and two moments; float32
        total += 2 * 3 * 4 * (count_parameters(trial.settings, dataset.image_shape) or 0)
    return total


def _write_resolved(folder: Path, study: Study, source: Source) -> None:
    """Write every setting of every trial known so far, defaults included, and its folder's name, in a line for each."""
    trials = (
        {"trial_id": trial.trial_id, "training_id": trial.training_id, "settings": trial.settings.to_dict()}
        for trial in source.trials
    )
    lines = ",\n  ".join(map(json.dumps, trials))
    resolved = f'{{\n "study": {json.dumps(study.model_dump(mode="json"))},\n "trials": [\n  {lines}\n ]\n}}\n'
    write_text_atomically(folder / "resolved.json", resolved)
