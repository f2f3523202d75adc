"""The winner of a study as a model of MLflow's, logged from a stored state and opened as docs/mlflow.md says."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
from mlflow.exceptions import MlflowException

from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder
from harness.tracking.mlflow_store import MlflowStore
from harness.tracking.presentation import Presentation
from harness.tracking.winner import TAG, Winner
from models.settings import TrialSettings
from models.trained_model import TrainedModel
from models.training.state import init_state
from tests.harness.tracking.test_mlflow_store import ROWS, STOPPED

DOCS = Path(__file__).parents[3] / "docs" / "mlflow.md"
SHAPE = (1, 8, 8)
SETTINGS = TrialSettings(
    model="vsc", latent_dim=2, alpha=0.5, hidden=(6,), learning_rate=1e-3, batch_size=32, epochs=2, num_validation=9
)
TRIAL = Trial(SETTINGS, "digits", "hash")
ROWS_OF_STATE = [row | {"step": 7} for row in ROWS]


def win(results: Path, trial: Trial) -> tuple[MlflowStore, Winner]:
    """A store that has the trial, and the trial as a winner with a stored state."""
    store, folder = MlflowStore("small", results), TrialFolder(results / "small", trial)
    store.open({})
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.write_checkpoint(init_state(trial.settings, SHAPE).tensors(), ROWS_OF_STATE)
    store.sync(trial, STOPPED, folder, {})
    return store, Winner(trial, SHAPE, folder.path / "epoch-2.safetensors", 2)


def address_of(store: MlflowStore) -> str:
    assert store.parent_id is not None
    return str(store.client.get_run(store.parent_id).data.tags[TAG])


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, copy_database: Callable[[Path], None]) -> tuple[Path, str]:
    """A results folder in which a winner was logged, and the address of its model."""
    results = tmp_path_factory.mktemp("results")
    copy_database(results / "mlflow.db")
    store, winner = win(results, TRIAL)
    store.present(Presentation(description="Which?", winner=winner))
    return results, address_of(store)


@pytest.fixture
def _address_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """MLflow keeps the address of its store for the whole process, and in the environment."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    yield
    mlflow.set_tracking_uri(None)


@pytest.mark.usefixtures("_address_is_forgotten")
def test_the_winner_is_opened_by_mlflow_as_the_documentation_says(
    stored: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    results, address = stored
    programs = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    [program] = [text for text in programs if "load_model" in text]
    monkeypatch.chdir(results)
    program = program.replace("models:/m-0123", address).replace("sqlite:///results/", "sqlite:///")
    told: dict[str, np.ndarray] = {}
    exec(program, told)

    state = init_state(SETTINGS, SHAPE)
    expected = TrainedModel(SETTINGS, SHAPE, 2, state.model.eval())
    codes = expected.encode(told["images"].astype(np.uint8))
    assert np.array_equal(told["codes"], codes.numpy())
    assert np.array_equal(told["pictures"], expected.decode(codes).flatten(1).numpy())
    assert np.array_equal(told["samples"], expected.sample(4, seed=0).flatten(1).numpy())
    assert told["trained"].settings == SETTINGS  # type: ignore[attr-defined]
    assert told["trained"].epochs_trained == 2  # type: ignore[attr-defined]

    assert "MLFLOW_TRACKING_URI" not in os.environ  # which would say where the next study is sent
    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    winner = mlflow.pyfunc.load_model(address)
    assert winner.input_example.shape == (1, 64)
    assert winner.predict(winner.input_example).shape == (1, 2)
    assert {param.name for param in winner.metadata.signature.params} == {"method", "seed"}
    half = told["rows"] + 0.5
    for rows, method, fault in (
        (half, "encode", "bytes"),
        (codes.numpy(), "encode", "give 64"),
        (half, "decode", "give 2,"),
        (half, "draw", "'draw'; take one of encode, decode, sample"),
    ):
        with pytest.raises(ValueError, match=fault):
            winner.predict(rows, params={"method": method})
    with pytest.raises(MlflowException, match="float32"):
        winner.predict(told["images"].reshape(10, -1))


def test_its_files_are_the_weights_alone_neither_pickle_nor_code(stored: tuple[Path, str]) -> None:
    results, address = stored
    [folder] = (results / "mlartifacts" / "small" / "models").glob(f"{address.rpartition('/')[2]}/artifacts")
    files = {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    assert {"data/data/weights.safetensors", "data/data/model.json", "MLmodel", "input_example.json"} <= set(files)
    assert not [name for name in files if name.endswith((".pkl", ".pickle", ".py", ".pt", ".pth", ".lock"))]
    num_parameters = sum(parameter.numel() for parameter in init_state(SETTINGS, SHAPE).model.parameters())
    assert files["data/data/weights.safetensors"] < 4 * num_parameters + 2000  # without Adam's moments


@pytest.mark.usefixtures("_address_is_forgotten")
def test_a_winner_is_logged_once_a_new_one_anew_and_both_are_found_where_results_were_moved(
    stored: tuple[Path, str], tmp_path: Path
) -> None:
    results = tmp_path / "moved"
    shutil.copytree(stored[0], results)
    store, winner = win(results, TRIAL)
    store.present(Presentation(winner=winner))
    assert address_of(store) == stored[1]
    assert len(store.client.search_logged_models([store.experiment_id])) == 1

    other = replace(TRIAL, settings=replace(SETTINGS, seed=1))
    store, winner = win(results, other)
    store.present(Presentation(description="Which?", winner=winner))
    newest = address_of(store)
    assert newest != stored[1]
    experiment = store.client.get_experiment(store.experiment_id)
    assert newest in experiment.tags["mlflow.note.content"]

    shutil.rmtree(stored[0] / "mlartifacts")  # what is found is found here
    mlflow.set_tracking_uri(store.uri)
    for address, seed in ((stored[1], 0), (newest, 1)):
        opened = mlflow.pyfunc.load_model(address).get_raw_model()
        drawn = init_state(replace(SETTINGS, seed=seed), SHAPE).model.parameters()
        assert all(map(torch.equal, opened.module.parameters(), drawn))
