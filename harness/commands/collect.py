"""Bring a study's folder and MLflow to the same state, whichever of the two is incomplete."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from harness.commands.present import present_study
from harness.datasets import DatasetIdentity
from harness.errors import InputError
from harness.ledger.fetching import PACK, fetch_study, held_still, pack_trials
from harness.ledger.names import HISTORY_FILE, MLFLOW_DATABASE
from harness.ledger.provenance import describe_study, recall_provenance
from harness.ledger.recorded_dataset import recall_dataset
from harness.ledger.sharing import Sharing
from harness.ledger.tables import build_tables, write_tables
from harness.ledger.trial_folder import TrialFolder
from harness.search.make_source import read_source
from harness.search.source import has_history
from harness.storage import sqlite
from harness.storage.place import Place
from harness.study import Study
from harness.study.fields import SLUG
from harness.study.file import find_study, load_found
from harness.study.sections import ADAPTIVE_SAMPLERS
from harness.tracking.explain import explain
from harness.tracking.local_store import locate_runs
from harness.tracking.mlflow_settings import tracking_uri
from harness.tracking.mlflow_store import MlflowStore


@dataclass(frozen=True)
class Collected:
    """What collecting a study has done."""

    num_trials: int  # in the tables
    num_sent: int  # to MLflow
    num_restored: int  # from MLflow


def find_or_download_study(text: str, results: Place) -> Study:
    """Load a study by file or name; if its file is lost, download it from its parent run in MLflow.

    Raises:
        InputError: it is in neither place.
    """
    if results.is_remote and SLUG.fullmatch(text):
        results.fetch_file(results.folder / text / "study.yaml")
    try:
        path = find_study(text, results.folder, stored_first=True)
    except InputError:
        if not SLUG.fullmatch(text):
            raise
    else:
        return load_found(path, results.folder)
    runs, folder = locate_runs(results, text), results.folder / text
    with _mlflow_errors_in_words(runs):
        store = MlflowStore(text, runs, create=False)
        store.open()
        store.download_parent_file("study.yaml", folder)
    path = folder / "study.yaml"
    if not path.exists():
        raise InputError(f"{text}: MLflow ({store.uri}) has no study file of that name; give its path instead")
    return load_found(path, results.folder)


def collect_study(study: Study, results: Place) -> Collected:
    """Send MLflow what it lacks, restore what the study's folder lacks, and write the tables of both.

    Raises:
        InputError: MLflow has nothing of this study.
    """
    folder = results.folder.absolute() / study.name
    runs = locate_runs(results, study.name)
    study.use_plugins()
    dataset = recall_dataset(study.dataset, folder)
    refusal = f"{results.name(folder)}: study {study.name} is being run by another process; it sends its trials itself"
    if results.is_remote:
        results.check()
    with _mlflow_errors_in_words(runs):
        if not (folder.exists() or results.is_remote):  # an error if MLflow lacks it, too, before anything is made
            MlflowStore(study.name, runs, create=False)
        with results.hold(study.name, refusal) as hold:
            with held_still(results, study.name):
                fetch_study(results, study.name)
            with Sharing(results, folder, hold):
                results.remove(folder / PACK)
                collected = _collect(study, dataset, folder, results)
                if results.is_remote:
                    pack_trials(folder)
                return collected


@contextmanager
def _mlflow_errors_in_words(results: Path) -> Iterator[None]:
    """Turn errors of an MLflow store that is broken or does not answer into one sentence."""
    try:
        with sqlite.telling_of_waits(results / MLFLOW_DATABASE):
            yield
    except InputError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.filename is not None:  # a file of the results, not MLflow
            raise
        failure = explain(error, tracking_uri(results))
        fix = failure.fix or "fix that"
        raise InputError(
            f"{tracking_uri(results)}: MLflow cannot be used ({failure.reason}); {fix}, and collect again"
        ) from error


def _collect(study: Study, dataset: DatasetIdentity, folder: Path, place: Place) -> Collected:
    runs = locate_runs(place, study.name)
    if sqlite.is_damaged(folder / HISTORY_FILE):
        sqlite.log.warning(
            "%s is damaged, and is kept as %s", folder / HISTORY_FILE, sqlite.move_aside(folder / HISTORY_FILE)
        )
    planned = read_source(study, folder, as_recorded=True).trials
    folders = [TrialFolder(folder, trial) for trial in planned]
    ended = [(t, r, f) for t, f in zip(planned, folders, strict=True) if (r := f.read_result()) is not None]
    tags = {**describe_study(dataset, study.loaded_plugins), **recall_provenance(folder)}
    store = MlflowStore(study.name, runs, create=bool(ended))
    store.open(tags)
    num_sent = sum(store.sync(trial, result, trial_folder, tags) for trial, result, trial_folder in ended)

    known = {trial.trial_id: (trial, result) for trial, result, _ in ended}
    trials = {t.trial_id: known.get(t.trial_id, (t, result)) for t, result in store.read_trials(known=known)}
    num_restored = 0
    for trial_id, (trial, result) in trials.items():
        trial_folder = TrialFolder(folder, trial, place)
        if trial_folder.read_result() is None:
            place.share(*store.download_checkpoint(trial_id, trial_folder))
            trial_folder.write_result(result)
            num_restored += 1
    if study.search.sampler in ADAPTIVE_SAMPLERS and not has_history(folder):
        store.download_parent_file(HISTORY_FILE, folder)
    # In the order of the plan, which is made again, as results decide which trials confirm the best. A sampler whose
    # history is lost has no plan: then all its trials are taken.
    again = read_source(study, folder, as_recorded=True).trials or [trial for trial, _ in trials.values()]
    found = ((trial, TrialFolder(folder, trial).read_result()) for trial in again if trial.trial_id in trials)
    kept = [(trial, result or trials[trial.trial_id][1]) for trial, result in found]  # a folder has what is new
    if not kept:
        raise InputError(f"{folder}: neither it nor MLflow has a trial that the study's file asks for; run it first")
    tables = write_tables(folder, build_tables(study, kept, store.run_ids))
    store.attach(tables, "tables")
    with suppress(Exception):  # a page without its text is no reason to stop
        store.present(present_study(study, place, [trial for trial, _ in kept], dataset.image_shape))
    store.close("FINISHED")
    return Collected(len(kept), num_sent, num_restored)
