"""A machine that is taken away costs a trial no crash, nor what it has trained where its process is told first.

Ray ends the process itself in the moment that its own service on the machine, the raylet, is gone: what the trial has
trained since its last checkpoint is then lost, whether somebody told the process or not.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from ray.exceptions import ActorUnavailableError

from harness.datasets import Dataset
from harness.ledger.result import Epoch
from harness.ledger.trial_folder import TrialFolder
from harness.metrics import Measures
from harness.storage.place import Folder
from harness.tune import failures
from harness.tune.driver import Driver, UnfitError
from harness.tune.trainable import StudyTrainable
from tests.e2e.conftest import STUDY, start_command
from tests.harness.cluster.heads import Head, wait_until
from tests.harness.tune.test_failures import Run, judge_each
from tests.harness.worker.tiny_trials import dataset, make_trial

__all__ = ["dataset"]

RARELY = Measures((), iw_samples=3, checkpoint_every=1000)


@pytest.fixture
def start(dataset: Dataset, tmp_path: Path) -> Iterator[Callable[..., StudyTrainable]]:
    """Make a process of a trial of this one."""
    before = signal.getsignal(signal.SIGTERM)

    def start() -> StudyTrainable:
        trainable: StudyTrainable = object.__new__(StudyTrainable)
        config = {"trial": make_trial(dataset, epochs=50), "gpu": False}
        options: dict[str, Any] = {"measures": RARELY, "metric": "train/loss"}
        options |= {"place": Folder(tmp_path.parent), "study": tmp_path.name}
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
    ("error", "num_crashes"),
    [
        (
            "ray.exceptions.RayTaskError(LeavingError): worker-3 was asked to end",
            1,
        ),  # the third time, it may be the trial
        ("ray.exceptions.RayTaskError(UnfitError): worker-3 does not see /results", 1),
        ("ray.exceptions.RayTaskError(OtherCodeError): /code holds other code than was started", 3),
        ("The actor died because its node has died. Node Id: 12ab", 1),
        ("harness.storage.objects.PlaceError: s3://bucket/results: the bucket does not answer; see to the network", 1),
        ("harness.storage.objects.PlaceError: /results/epoch-2: cannot be read just now (Input/output error)", 3),
        (str(ActorUnavailableError("The actor is temporarily unavailable: RpcError", b"1" * 16)), 1),
        ("The actor died unexpectedly before finishing this task. Worker exit type: SYSTEM_ERROR", 3),
        ("Task was killed due to the node running low on memory.", 0),  # see test_failures
    ],
)
def test_a_trial_is_forgiven_what_its_machine_did(
    error: str, num_crashes: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(failures, "MAX_FORGIVEN", 2)
    run: Any = Run()
    assert judge_each(run, tmp_path, *[error] * 3)[1] == num_crashes


def ask_processes(node: subprocess.Popen[bytes]) -> None:
    """Ask those that train."""
    for process in psutil.Process(node.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if any(name in " ".join(process.cmdline()) for name in ("Trainable", "EngineActor")):
                process.terminate()


@pytest.mark.slow
@pytest.mark.parametrize("is_fused", [False, True])
@pytest.mark.parametrize("ask", [ask_processes, subprocess.Popen.terminate], ids=["processes", "node"])
def test_what_was_trained_goes_on_once_its_machine_is_asked_to_end(
    tmp_path: Path, is_fused: bool, ask: Callable[[subprocess.Popen[bytes]], None]
) -> None:
    """A node is its `ray start --block`, which Kubernetes tells, and which then lets the node end by itself."""
    (tmp_path / "tiny.yaml").write_text(STUDY)
    words = ["run", "tiny.yaml", "--set", "epochs=100000", "--set", "evaluate=[]", "--set", "seeds=[0]"]
    words += ["--set", "space=[{model: vae, latent_dim: 2}]"]
    words += ["--set", "checkpoint_every=100000", *(("--set", "resources.cpu=0.5") if is_fused else ())]
    with Head(num_cpus=0) as head:
        node = head.join()
        head.wait_for_nodes(2)
        run = start_command(tmp_path, head.client, *words, "--address", head.address)
        wait_until(lambda: bool(list(tmp_path.glob("results/tiny/trials/*/log.txt"))), 120, run)
        time.sleep(8)
        assert not list(tmp_path.glob("results/tiny/trials/*/*.safetensors"))
        began = time.monotonic()
        ask(node)
        wait_until(lambda: bool(list(tmp_path.glob("results/tiny/trials/*/*.safetensors"))), 20, run)
        print(f"stored {time.monotonic() - began:.1f} s after its machine was asked to end")
        head.join()  # where it goes on, if the first one ends
        (log,) = tmp_path.glob("results/tiny/trials/*/log.txt")
        wait_until(lambda: has_gone_on(log), 90, run)
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=60)
    assert run.returncode == 130


def has_gone_on(log: Path) -> bool:
    """Whether a trial has begun again, and not at its first epoch."""
    begun = [line for line in log.read_text().splitlines() if ", from epoch " in line]
    return bool(begun) and not begun[-1].endswith(", from epoch 0")
