"""Results on a plug-in's dataset, read where its images are not."""

import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from harness import Study, load_model
from harness.commands.best import summarise_best
from harness.commands.collect import collect_study
from harness.commands.overview import summarise_plan, summarise_status, summarise_studies
from harness.datasets import load_dataset
from harness.errors import InputError
from harness.ledger.names import DATASET, PROVENANCE
from harness.ledger.provenance import describe_provenance, read_provenance, record_provenance
from harness.ledger.recorded_dataset import RecordedDataset, recall_dataset, record_dataset
from harness.ledger.tables import build_tables, write_tables
from harness.ledger.trial_folder import TrialFolder
from harness.plugins.use import use_plugins
from harness.storage.place import Folder
from harness.study.file import dump_study
from harness.tracking.mlflow_store import MlflowStore
from harness.worker.trial_run import run_trial
from tests.harness.plugins.examples import trials_of

PLUGIN = """\
import numpy as np
def load():
    with np.load(PATH) as arrays:
        return tuple(arrays[name] for name in ("train", "train_labels", "test", "test_labels"))
def register(registry):
    registry.add_dataset("mine", load)
"""
STUDY = """\
# Which?
name: mine
dataset: mine
plugins: [my_data]
defaults: {hidden: [8], batch_size: 10, epochs: 1, num_validation: 10}
space: [{model: vae, latent_dim: {grid: [2, 3]}}]
evaluate: [elbo]
"""


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Study, Folder, str]:
    """A study of which one trial was trained, before its images were deleted; its results, and that trial."""
    rng, images = np.random.default_rng(0), tmp_path / "mine.npz"
    arrays = {"train": rng.integers(0, 256, (40, 1, 4, 4), np.uint8), "train_labels": np.zeros(40, np.uint8)}
    arrays |= {"test": rng.integers(0, 256, (20, 1, 4, 4), np.uint8), "test_labels": np.zeros(20, np.uint8)}
    np.savez(images, **arrays)  # type: ignore[arg-type]
    (tmp_path / "my_data.py").write_text(PLUGIN.replace("PATH", repr(str(images))))
    (tmp_path / "mine.yaml").write_text(STUDY)
    study, results = Study.from_file(tmp_path / "mine.yaml"), Folder(tmp_path / "results")
    trial, folder = trials_of(study)[0], results.folder / "mine"
    dataset = load_dataset("mine")
    list(run_trial(trial, study.measures, dataset, folder))
    result = TrialFolder(folder, trial).read_result()
    assert result is not None
    write_tables(folder, build_tables(study, [(trial, result)], {}))
    (folder / "study.yaml").write_text(dump_study(study))
    record_dataset(folder, dataset)
    images.unlink()
    use_plugins(())  # another study has been read meanwhile
    return study, results, trial.trial_id


def shown(what: object) -> str:
    console = Console(width=200)
    with console.capture() as captured:
        console.print(what)
    return captured.get()


def test_results_are_read_by_what_the_last_run_recorded(
    trained: tuple[Study, Folder, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study, results, trial_id = trained
    monkeypatch.chdir(results.folder.parent)
    model = load_model(study, trial_id, results.folder)
    assert model.decode(model.encode(np.zeros((3, 1, 4, 4), np.uint8))).shape == (3, 1, 4, 4)
    assert [line.split() for line in shown(summarise_status(study, results)).splitlines()[2:]] == [
        ["finished", "1"], ["waiting", "1"],
    ]  # fmt: skip
    assert "mine" in shown(summarise_studies(results))
    assert "gives no dataset" not in shown(summarise_studies(results))
    assert "not known" not in shown(summarise_best(study, results))
    assert collect_study(study, results).num_trials == 1


@pytest.mark.parametrize("is_recorded", [True, False])
def test_what_collect_sends_says_what_trained_it_not_what_sends_it(
    is_recorded: bool, trained: tuple[Study, Folder, str]
) -> None:
    study, results, _ = trained
    folder = results.folder / "mine"
    (plugin,) = study.loaded_plugins
    if is_recorded:
        record_provenance(folder, {"plugin.my_data.sha256": "0"})
        record = [entry | {"version.torch": "1.0", "git.commit": "abc"} for entry in read_provenance(folder)]
        (folder / PROVENANCE).write_text(json.dumps(record))
    collect_study(study, results)
    store = MlflowStore("mine", results.folder, create=False)
    store.open()
    assert store.parent_id is not None
    tags = store.client.get_run(store.parent_id).data.tags
    now = describe_provenance()
    asked = ("version.torch", "git.commit", "plugin.my_data.sha256", "python", "dataset")
    expected = ("1.0", "abc", "0") if is_recorded else (now["version.torch"], now["git.commit"], plugin.sha256)
    assert tuple(tags[name] for name in asked) == (*expected, now["python"], "mine")
    assert not {"date", "study", "cpu"} & tags.keys()


def test_what_a_run_would_do_is_asked_of_the_images(trained: tuple[Study, Folder, str]) -> None:
    study, results, _ = trained
    with pytest.raises(InputError, match=r"gives no dataset \(FileNotFoundError"):
        summarise_plan(study, results)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"name": "mine", "content_hash": "0", "num_train": 4}'])
def test_a_record_that_is_damaged_is_none(trained: tuple[Study, Folder, str], text: str) -> None:
    study, results, _ = trained
    study.use_plugins()
    (results.folder / "mine" / DATASET).write_text(text)
    with pytest.raises(InputError, match="gives no dataset"):
        recall_dataset("mine", results.folder / "mine")


def test_a_record_is_of_one_dataset_and_of_plugins_alone(tmp_path: Path) -> None:
    for name in ("digits", "mine"):
        record_dataset(tmp_path, RecordedDataset(name, "0", 40, (1, 4, 4), ("shape", "x")))
        assert recall_dataset("digits", tmp_path).content_hash == load_dataset("digits").content_hash
    assert recall_dataset("mine", tmp_path) == RecordedDataset("mine", "0", 40, (1, 4, 4), ("shape", "x"))
    with pytest.raises(InputError, match="no dataset is called 'yours'"):
        recall_dataset("yours", tmp_path)
