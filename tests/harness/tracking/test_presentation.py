import json
import os
import pwd
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest

from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder
from harness.tracking.mlflow_store import MlflowStore
from harness.tracking.presentation import Presentation, list_pages, make_view, name_configuration, tags_of_source
from tests.harness.tracking.test_mlflow_store import STOPPED, TRIAL


def of(**changes: object) -> Trial:
    return replace(TRIAL, settings=type(TRIAL.settings)(**(TRIAL.settings.to_dict() | changes)))  # type: ignore[arg-type]


def test_seeds_of_a_configuration_have_one_name_and_other_configurations_another() -> None:
    names = {name_configuration(of(seed=seed)) for seed in range(3)}
    assert len(names) == 1
    assert name_configuration(of(learning_rate=2e-3)) not in names
    assert name_configuration(replace(TRIAL, plugins=("0123",))) not in names
    assert name_configuration(replace(TRIAL, population="0123")) not in names
    assert "seed" not in names.pop()


def test_a_configuration_has_one_name_whatever_its_study_varies_by_now() -> None:
    names = {name_configuration(replace(TRIAL, varied=varied)) for varied in ((), ("learning_rate",), ("latent_dim",))}
    assert len(names) == 1


def test_who_has_no_name_is_known_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose user is of no entry in passwd."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    assert tags_of_source()["mlflow.user"] == str(os.getuid())


def test_a_view_shows_trials_alone_the_best_first() -> None:
    shown = Presentation(metric="val/elbo", is_maximised=True, settings=["alpha"], metrics=["test/elbo"])
    view = json.loads(make_view(shown))
    assert view["searchFilter"] == "tags.`spikeslab.kind` = 'trial'"
    assert (view["orderByKey"], view["orderByAsc"]) == ("metrics.`val/elbo`", False)
    assert {"params.`alpha`", "metrics.`val/elbo`", "metrics.`test/elbo`"} <= set(view["selectedColumns"])
    assert json.loads(make_view(replace(shown, is_maximised=False)))["orderByAsc"] is True
    many = json.loads(make_view(replace(shown, settings=[f"setting_{i}" for i in range(20)])))["selectedColumns"]
    assert "metrics.`val/elbo`" in many  # by which they are sorted


def test_a_study_says_what_it_found_and_its_trials_what_they_are(tmp_path: Path) -> None:
    store = MlflowStore("small", tmp_path)
    store.open({})
    store.sync(TRIAL, STOPPED, TrialFolder(tmp_path / "small", TRIAL), {"version.torch": "2", "host": "here"})
    assert list_pages(store.uri, "http://127.0.0.1:5000") == []
    (tmp_path / "elbo.png").write_bytes(b"picture")
    store.attach([tmp_path / "elbo.png"], "figures")
    shown = Presentation(
        description="**Which?**", best={"best/test/elbo": -3.0}, figure="elbo.png", about={"sampler": "tpe"}
    )
    store.present(replace(shown, figure="lost.png"))
    experiment = store.client.get_experiment(store.experiment_id)
    assert experiment.tags["mlflow.note.content"] == "**Which?**"
    store.present(shown)

    experiment = store.client.get_experiment(store.experiment_id)
    assert store.parent_id is not None
    picture = f"![elbo](/get-artifact?path=figures/elbo.png&run_uuid={store.parent_id})"
    assert experiment.tags["mlflow.note.content"] == f"**Which?**\n\n{picture}"
    parent = store.client.get_run(store.parent_id)
    assert parent.data.tags["mlflow.note.content"] == experiment.tags["mlflow.note.content"]
    assert parent.data.tags["study.sampler"] == "tpe"
    assert parent.data.metrics == {"best/test/elbo": -3.0}
    [page] = list_pages(store.uri, "http://127.0.0.1:5000")
    assert page[0] == "small"
    assert page[1].endswith(f"/#/experiments/{store.experiment_id}/runs?viewStateShareKey=spikeslab")

    [run] = store._search("tags.`spikeslab.kind` = 'trial'")
    assert run.data.tags["configuration"] == name_configuration(TRIAL)
    assert run.data.tags["mlflow.source.name"] == "spikeslab run"
    assert (run.data.tags["host"], "version.torch" in run.data.tags) == ("here", False)
    [given] = run.inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == (TRIAL.dataset, TRIAL.dataset_hash)
    source = mlflow.data.get_source(given).to_dict()
    assert source == {"tags": {"name": TRIAL.dataset, "sha256": TRIAL.dataset_hash}}
