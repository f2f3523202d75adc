"""Which experiment of an MLflow store is a study's: names alone do not tell, where several people share a server."""

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import InputError, hide_secrets
from harness.ledger.names import MLFLOW_LOCK, RESULTS_ID
from harness.storage.local import locked, write_text_atomically

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

OWNER_TAG = "spikeslab.results"
"""The tag of an experiment that says which results folder it belongs to."""


def settle_own_experiment(client: "MlflowClient", study: str, location: str, *, create: bool) -> str:
    """Find or make the experiment of a study in the database of its results folder; returns its id.

    Raises:
        InputError: there is none, and `create` is false.
    """
    found = client.get_experiment_by_name(study)
    if found is not None:
        return _revive(client, found)
    if not create:
        raise _lacks(client, study)
    return _make(client, study, None, location)


def settle_shared_experiment(client: "MlflowClient", study: str, results: Path, *, create: bool) -> str:
    """Find or make the experiment of a study in a store that others use, too; returns its id.

    Where the study of another results folder has the name, the experiment of this one gets a longer name. Without
    `create`, the study's folder may be lost or never have been here: then any experiment of the name will do, and a
    results folder that is new goes on with it.

    Raises:
        InputError: there is none, and `create` is false.
    """
    owner = _name_results(results) if create else _read_owner(results)
    if owner is not None and (found := _find_of_owner(client, study, owner)) is not None:
        return _revive(client, found)
    named_so = client.get_experiment_by_name(study)
    if create:
        assert owner is not None
        return _make(client, study if named_so is None else _second_name(study, owner), owner, None)
    if named_so is None:
        raise _lacks(client, study)
    if owner is None and OWNER_TAG in named_so.tags:
        _name_results(results, named_so.tags[OWNER_TAG])
    return _revive(client, named_so)


def _find_of_owner(client: "MlflowClient", study: str, owner: str) -> "Experiment | None":
    for name in (study, _second_name(study, owner)):
        found = client.get_experiment_by_name(name)
        if found is None:
            continue
        if OWNER_TAG not in found.tags:  # of an earlier spikeslab, or made by hand: it is whoever's comes first
            client.set_experiment_tag(_revive(client, found), OWNER_TAG, owner)
            return client.get_experiment(found.experiment_id)
        if found.tags[OWNER_TAG] == owner:
            return found
    return None


def _make(client: "MlflowClient", name: str, owner: str | None, location: str | None) -> str:
    tags = {"mlflow.experimentKind": "custom_model_development"} | ({OWNER_TAG: owner} if owner is not None else {})
    return str(client.create_experiment(name, artifact_location=location, tags=tags))


def _revive(client: "MlflowClient", experiment: "Experiment") -> str:
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    return str(experiment.experiment_id)


def _lacks(client: "MlflowClient", study: str) -> InputError:
    uri = hide_secrets(client.tracking_uri.partition("?")[0])
    return InputError(f"{uri}: MLflow has no experiment named {study}; run the study first")


def _second_name(study: str, owner: str) -> str:
    """What a study is called where another results folder has taken its name."""
    return f"{study} ({owner[:6]})"


def _read_owner(results: Path) -> str | None:
    """Read what names a results folder; None if it has no name yet."""
    try:
        return (results / RESULTS_ID).read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None


def _name_results(results: Path, name: str | None = None) -> str:
    """Read what names a results folder, or name it. name: to use; None: a new one."""
    with locked(results / MLFLOW_LOCK):
        owner = _read_owner(results)
        if owner is None:
            owner = name or secrets.token_hex(8)
            write_text_atomically(results / RESULTS_ID, f"{owner}\n")
    return owner
