"""What a study left behind: its tables, and its trained models."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.errors import InputError
from harness.python.study import RESULTS, StudyOrName, as_study, name_of
from harness.storage.bucket import open_place

if TYPE_CHECKING:
    import pandas as pd

    from models.trained_model import TrainedModel


def load_tables(study: StudyOrName, results: str | os.PathLike[str] = RESULTS) -> tuple["pd.DataFrame", "pd.DataFrame"]:
    """Read the two tables of a study: a row per trial, and a row per trial and epoch.

    They are `trials`, with the settings and the final metrics, and `history`, with the metrics of every epoch. Bounds
    are in nats per image; docs/metrics.md says what each metric is.

    Raises:
        TableError: the study was not run.
        InputError: there is no such study.
    """
    from analysis.tables import load_tables as read
    from harness.ledger.fetching import fetch_to_read

    place = open_place(results)
    name = name_of(study, place.folder)
    fetch_to_read(place, name, trials=False)
    tables = read(place.folder / name)
    return tables.trials, tables.history


def load_model(
    study: StudyOrName,
    trial: str | Mapping[Any, Any],
    results: str | os.PathLike[str] = RESULTS,
) -> "TrainedModel":
    """Load the model that a trial has trained, from its newest checkpoint: tensors and numbers alone, no code.

    trial: its trial_id, or its row of the table `trials`. No image is needed, and neither Ray nor MLflow.

    Raises:
        InputError: the study has no such trial, or no state of it is stored.
    """
    from harness.ledger.fetching import fetch_to_read
    from harness.ledger.recorded_dataset import recall_dataset
    from harness.ledger.trial_folder import TrialFolder, read_checkpoint
    from harness.search.make_source import read_source
    from models.trained_model import TrainedModel
    from models.training.state import init_state

    trial_id, place = _id_of(trial), open_place(results)
    if isinstance(study, str):
        fetch_to_read(place, study)
    study = as_study(study, place.folder)
    fetch_to_read(place, study.name)
    folder = place.folder / study.name
    planned = {known.trial_id: known for known in read_source(study, folder, as_recorded=True).trials}
    if trial_id not in planned:
        plugins = " and ".join(study.plugins)
        asks = f"its file and {plugins} as they are now ask" if plugins else "its file as it is now asks"
        raise InputError(f"{study.name}: {asks} for no trial {trial_id}; take a trial_id of study.plan()")
    found = planned[trial_id]
    trial_folder = TrialFolder(folder, found, place)
    trial_folder.fetch()
    path, _ = trial_folder.find_state()
    if path is None:
        raise InputError(
            f"{folder}: no state of trial {trial_id} is stored; train it with `spikeslab run {study.name}`"
        )
    tensors, history = read_checkpoint(path)
    image_shape = recall_dataset(study.dataset, folder).image_shape
    state = init_state(found.settings, image_shape, is_drawn=False)
    state.load(tensors, epoch=len(history), step=int(history[-1]["step"] or 0))
    return TrainedModel(found.settings, image_shape, len(history), state.model.eval())


def _id_of(trial: Any) -> str:
    """The trial_id that is given, or that of the row that is given."""
    try:
        found = trial if isinstance(trial, str) else trial["trial_id"]
    except (TypeError, LookupError):
        found = None
    if not isinstance(found, str):  # of a whole table it is a column
        raise InputError("trial: neither a trial_id nor a row that has one; give one row, such as trials.iloc[0]")
    return found
