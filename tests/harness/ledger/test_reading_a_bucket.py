"""What commands bring here from a bucket that only read: no arrays but for figures, and all studies at once."""

import threading
from collections.abc import Iterator

import pytest

from harness.datasets import Dataset
from harness.ledger.fetching import fetch_all_to_read, fetch_to_read
from harness.ledger.names import RAY_LOG
from harness.ledger.trial_folder import TrialFolder
from harness.metrics import evaluation_of
from harness.storage.objects import Objects
from tests.harness.ledger.test_in_a_bucket import WITH_ARRAYS, machines, train
from tests.harness.worker.tiny_trials import dataset, make_trial
from tests.s3 import Machine

__all__ = ["dataset", "machines"]  # fixtures


def test_who_draws_nothing_reads_no_array_and_knows_that_there_is_one(
    machines: Iterator[Machine], dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial, worker, reader = make_trial(dataset), next(machines), next(machines)
    train(worker, dataset, WITH_ARRAYS)
    log = worker.folder / "study" / RAY_LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("Ray's words")
    worker.share(log)
    asked: list[str] = []
    plain = Objects.read
    monkeypatch.setattr(Objects, "read", lambda self, key, *a: asked.append(key) or plain(self, key, *a))
    fetch_to_read(reader, "study")
    assert [name for name in asked if "exhibits" in name or RAY_LOG in name] == []
    folder = TrialFolder(reader.folder / "study", trial)
    result = folder.read_result()
    assert result is not None
    assert [evaluation_of(name) for name in result.evaluated] == ["elbo", "exhibits"]
    fetch_to_read(reader, "study", arrays=True)
    content = folder.arrays["exhibits"].read_bytes()
    assert len(content) > 1000
    fetch_to_read(reader, "study")
    assert folder.arrays["exhibits"].read_bytes() == content, "it stays once it is here"


def test_all_studies_are_read_at_once_after_one_look_at_their_names(
    machines: Iterator[Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, reader = next(machines), next(machines)
    names = [f"study-{i}" for i in range(8)]
    for name in names:
        (writer.folder / name).mkdir(parents=True)
        (writer.folder / name / "trials.parquet").write_text(name)
    writer.share(*(writer.folder / name / "trials.parquet" for name in names))
    asked: list[str] = []
    levels, lists, meeting = Objects.list_level, Objects.list, threading.Barrier(len(names), timeout=60)

    def ask(self: Objects, folder: str = "") -> object:
        asked.append(folder)
        return levels(self, folder)

    def meet(self: Objects, folder: str = "") -> object:
        if folder.endswith("exhibits"):
            meeting.wait()
        return lists(self, folder)

    monkeypatch.setattr(Objects, "list_level", ask)
    monkeypatch.setattr(Objects, "list", meet)
    fetch_all_to_read(reader, trials=False)
    assert sorted(asked) == ["", *names]
    assert [(reader.folder / name / "trials.parquet").read_text() for name in names] == names
