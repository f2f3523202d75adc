"""A machine that is taken away costs a trial nothing: neither what it has trained nor one of its crashes."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.datasets import Dataset
from harness.ledger.result import Epoch
from harness.ledger.trial_folder import TrialFolder
from harness.metrics import Measures
from harness.tune import callbacks
from harness.tune.callbacks import Watcher
from harness.tune.driver import Driver, UnfitError
from harness.tune.trainable import StudyTrainable
from tests.harness.worker.test_trial_run import dataset, make_trial

__all__ = ["dataset"]

RARELY = Measures((), iw_samples=3, checkpoint_every=1000)


@pytest.fixture
def start(dataset: Dataset, tmp_path: Path) -> Iterator[Callable[..., StudyTrainable]]:
    """Make a process of a trial of this one."""
    before = signal.getsignal(signal.SIGTERM)

    def start() -> StudyTrainable:
        trainable: StudyTrainable = object.__new__(StudyTrainable)
        config = {"trial": make_trial(dataset, epochs=50), "gpu": False}
        options: dict[str, Any] = {"measures": RARELY, "study_folder": tmp_path, "metric": "train/loss"}
        trainable.setup(config, dataset=dataset, report_seconds=0.0, engines=None, driver=Driver.here(), **options)
        return trainable

    yield start
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("when", ["between two steps", "within a step"])
def test_a_process_that_is_asked_to_end_stores_what_it_has_trained(
    when: str, start: Callable[..., StudyTrainable], dataset: Dataset, tmp_path: Path
) -> None:
    trainable = start()
    for _ in range(3):
        trainable.step()
    if when == "within a step":
        train = trainable._events
        assert train is not None

        def interrupted() -> Any:
            os.kill(os.getpid(), signal.SIGTERM)
            try:
                yield from train
            finally:
                train.close()

        trainable._events = interrupted()
    else:
        os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(UnfitError, match="was asked to end"):
        trainable.step()
    _, epochs = TrialFolder(tmp_path, make_trial(dataset, epochs=50)).find_state()
    assert len(epochs) == (4 if when == "within a step" else 3)
    trainable.reset_config({"trial": make_trial(dataset, seed=1), "gpu": False})
    with pytest.raises(UnfitError):  # the machine is to be left alone
        trainable.step()
    assert all(isinstance(event, Epoch) for event in start().step()["events"]), "another goes on"


@pytest.mark.parametrize(
    ("error", "is_forgiven"),
    [
        ("ray.exceptions.RayTaskError(UnfitError): worker-3 was asked to end", True),
        ("The actor died because its node has died. Node Id: 12ab", True),
        ("The actor died unexpectedly before finishing this task. Worker exit type: SYSTEM_ERROR", False),
        ("Task was killed due to the node running low on memory.", False),
    ],
)
def test_a_trial_is_forgiven_what_its_machine_did(
    error: str, is_forgiven: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks, "MAX_FORGIVEN", 2)
    run: Any = None
    watcher = Watcher(run)
    trial = SimpleNamespace(trial_id="a", get_error=lambda: error, run_metadata=SimpleNamespace(num_failures=0))
    for _ in range(3):
        trial.run_metadata.num_failures += 1
        watcher.on_trial_recover(trial=trial)
    assert trial.run_metadata.num_failures == (1 if is_forgiven else 3)  # the third time, it may be the trial
