"""A study whose results are in a bucket: trials on machines that share nothing else, and a driver that reads little."""

import dataclasses
import shutil
import sqlite3
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.datasets import Dataset
from harness.ledger import sharing
from harness.ledger.fetching import PACK, fetch_study, fetch_to_read, pack_trials
from harness.ledger.result import Ended, Result
from harness.ledger.sharing import Sharing
from harness.ledger.trial_folder import TrialFolder
from harness.metrics import Measures, evaluation_of
from harness.search.make_source import make_source
from harness.storage.objects import Objects, PlaceError
from harness.storage.place import Folder, Place
from harness.worker.trial_run import run_trial
from tests.harness.small_studies import load
from tests.harness.worker.tiny_trials import (
    ALL,
    EPOCHS,
    Fits,
    dataset,
    fits,
    make_trial,
    result_of,
    tensors_of,
    untimed,
)
from tests.models.cases import assert_same_tensors
from tests.s3 import Machine

__all__ = ["dataset", "fits"]  # fixtures

POPULATION = """\
name: demo
dataset: digits
defaults: {epochs: 3, hidden: [8], batch_size: 100}
space: [{model: vae, latent_dim: 3, learning_rate: {loguniform: [1.0e-4, 3.0e-2]}}]
search: {sampler: random, num_trials: 4}
scheduler: {name: pbt, interval: 1, perturb: [learning_rate]}
evaluate: [elbo]
"""

WITH_ARRAYS = Measures(("elbo", "exhibits"), iw_samples=3, checkpoint_every=1)


@pytest.fixture
def machines(address: str, tmp_path: Path) -> Iterator[Machine]:
    return (Machine(address, root=tmp_path / f"machine-{i}") for i in range(100))


def train(machine: Machine, dataset: Dataset, measures: Measures = ALL, *, epochs: int = EPOCHS) -> None:
    """Train a trial on a machine; with fewer epochs than it has, until it is interrupted."""
    events = run_trial(make_trial(dataset), measures, dataset, machine.folder / "study", place=machine)
    for event in events:
        if event.metrics["epoch"] == epochs < EPOCHS:
            break
    events.close()


def list_names(machine: Machine) -> list[str]:
    return sorted(item.path.relative_to(machine.folder).as_posix() for item in machine.list(machine.folder))


def list_files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_trial_goes_on_on_another_machine_as_if_nothing_had_been(
    machines: Iterator[Machine], dataset: Dataset, fits: Fits, tmp_path: Path
) -> None:
    trial = make_trial(dataset)
    list(run_trial(trial, ALL, dataset, tmp_path / "alone" / "study"))
    fits.epochs.clear()
    first, second, reader = next(machines), next(machines), next(machines)
    train(first, dataset, epochs=2)
    train(second, dataset)
    assert fits.epochs == list(range(1, EPOCHS + 1)), "no epoch is missing or trained twice"
    assert [list_files(machine.folder) for machine in (first, second)] == [[], []], "nothing is left on the nodes"

    folder = TrialFolder(reader.folder / "study", trial, reader)
    folder.fetch()
    alone, found = (result_of(trial, where / "study") for where in (tmp_path / "alone", reader.folder))
    assert untimed(found.history) == untimed(alone.history)
    assert (found.metrics, found.evaluated) == (alone.metrics, alone.evaluated)
    assert_same_tensors(*(tensors_of(trial, where / "study") for where in (reader.folder, tmp_path / "alone")))
    log = folder.log.read_text()
    assert log.count("finished") == 1
    assert "resumed from its checkpoint after epoch 2" in log


def test_what_another_study_of_the_bucket_trained_is_not_trained_again(
    machines: Iterator[Machine], dataset: Dataset, fits: Fits
) -> None:
    trial, first, second, driver = make_trial(dataset), next(machines), next(machines), next(machines)
    list(run_trial(trial, ALL, dataset, first.folder / "first", place=first))
    assert fits.epochs == list(range(1, EPOCHS + 1))
    seen = TrialFolder(driver.folder / "second", trial, driver)
    seen.fetch(whole=False)
    state, epochs = seen.find_state()
    assert state is not None
    assert (state.name, state.parents[2], len(epochs)) == (f"epoch-{EPOCHS}.header", driver.folder / "first", EPOCHS)
    assert seen.count_own_epochs() == 0
    list(run_trial(trial, ALL, dataset, second.folder / "second", place=second))
    assert len(fits.epochs) == EPOCHS
    for study in ("first", "second"):
        TrialFolder(driver.folder / study, trial, driver).fetch()
    one, other = (result_of(trial, driver.folder / study) for study in ("first", "second"))
    assert (one.history, one.metrics) == (other.history, other.metrics)


def test_a_driver_has_results_and_arrays_and_of_states_what_they_hold(
    machines: Iterator[Machine], dataset: Dataset
) -> None:
    trial, worker, driver = make_trial(dataset), next(machines), next(machines)
    train(worker, dataset, WITH_ARRAYS, epochs=2)
    fetch_study(driver, "study")
    folder = TrialFolder(driver.folder / "study", trial, driver)
    assert {path.name for path in folder.path.iterdir()} == {f"began-{EPOCHS}.json", "epoch-2.header"}
    assert (folder.count_stored_epochs(), folder.count_own_epochs(), folder.list_own_states()) == (2, 2, [])
    assert folder.list_damaged() == []

    train(worker, dataset, WITH_ARRAYS)
    fetch_study(driver, "study")
    result = folder.read_result()
    assert result is not None
    assert [evaluation_of(name) for name in result.evaluated] == ["elbo", "exhibits"]
    kept = {f"began-{EPOCHS}.json", f"result-{EPOCHS}.json", f"epoch-{EPOCHS}.header"}
    assert {path.name for path in folder.path.iterdir()} == kept
    assert folder.count_own_epochs() == EPOCHS

    driver.remove(driver.folder / "study/trials" / trial.training_id / f"result-{EPOCHS}.json")
    another = next(machines)
    fetch_study(another, "study")
    another.remove(*(item.path for item in another.list(another.folder)))
    fetch_study(driver, "study")
    assert list_files(driver.folder) == [], "what somebody has deleted is gone"


def test_a_result_that_is_reported_is_taken_in_with_its_arrays(machines: Iterator[Machine], dataset: Dataset) -> None:
    trial, worker, driver = make_trial(dataset), next(machines), next(machines)
    (*_, last) = run_trial(trial, WITH_ARRAYS, dataset, worker.folder / "study", place=worker)
    folder = TrialFolder(driver.folder / "study", trial, driver)
    folder.take_in(last.result)  # type: ignore[union-attr]
    assert folder.read_result() == last.result  # type: ignore[union-attr]
    assert folder.arrays["exhibits"].exists()


def test_what_is_discarded_is_gone_whether_it_was_here_or_not(machines: Iterator[Machine], dataset: Dataset) -> None:
    worker, driver = next(machines), next(machines)
    train(worker, dataset)
    TrialFolder(driver.folder / "study", make_trial(dataset), driver).discard()
    assert [Path(name).name for name in list_names(driver)] == ["log.txt"]


# One file with the results of all


@pytest.fixture
def packed(machines: Iterator[Machine], dataset: Dataset) -> Machine:
    """A driver whose run has ended: a trial finished, another was interrupted."""
    worker, driver = next(machines), next(machines)
    train(worker, dataset)
    other = run_trial(make_trial(dataset, seed=1), ALL, dataset, worker.folder / "study", place=worker)
    next(other)
    other.close()
    fetch_study(driver, "study")
    pack_trials(driver.folder / "study")
    driver.share(driver.folder / "study" / PACK)
    return driver


def test_after_a_run_one_file_has_all_that_reading_needs(
    packed: Machine, machines: Iterator[Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    for name in ("list", "read"):
        plain = getattr(Objects, name)
        monkeypatch.setattr(Objects, name, lambda self, key, *a, plain=plain: asked.append(key) or plain(self, key, *a))
    reader = next(machines)
    fetch_to_read(reader, "study")
    assert asked == ["study/exhibits", "study/trials.zip"]
    kept = [Path(name).name for name in list_files(reader.folder / "study/trials")]
    finished, interrupted = (
        [f"epoch-{EPOCHS}.header", f"result-{EPOCHS}.json"],
        [f"began-{EPOCHS}.json", "epoch-1.header"],
    )
    assert kept in (finished + interrupted, interrupted + finished)
    fetch_to_read(reader, "study")
    assert asked == ["study/exhibits", "study/trials.zip", "study/exhibits"], "it is here"


def test_a_pack_that_has_changed_is_unpacked_again(packed: Machine, machines: Iterator[Machine]) -> None:
    reader = next(machines)
    fetch_to_read(reader, "study")
    shutil.rmtree(packed.folder / "study/trials")
    (packed.folder / "study/trials/0123456789abcdef").mkdir(parents=True)
    (packed.folder / "study/trials/0123456789abcdef/result-9.json").write_text("{}")
    pack_trials(packed.folder / "study")
    packed.share(packed.folder / "study" / PACK)
    fetch_to_read(reader, "study")
    assert list_files(reader.folder / "study/trials") == ["0123456789abcdef/result-9.json"]
    packed.remove(packed.folder / "study" / PACK)  # a run has begun
    fetch_to_read(reader, "study")
    assert len(list_files(reader.folder / "study/trials")) > 2


def test_a_pack_writes_nothing_elsewhere(address: str, machines: Iterator[Machine]) -> None:
    evil, reader = next(machines), next(machines)
    path = evil.folder / "study" / PACK
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as pack:
        for name in ("../evil.json", "trials/../../result-1.json", "/tmp/result-1.json", "trials/zz/result-1.json"):
            pack.writestr(name, "{}")
    evil.share(path)
    fetch_to_read(reader, "study")
    assert list_files(reader.folder) == ["study/.fetching", "study/.unpacked", f"study/{PACK}"]


# What the driver writes


@dataclass
class Held:
    problem: str | None = None


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SHARE_SECONDS", "LOOK_SECONDS"):
        monkeypatch.setattr(sharing, name, 0.02)


def wait_for(machine: Machine, name: str, content: bytes) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        machine.fetch_file(machine.folder / name)
        if (machine.folder / name).exists() and (machine.folder / name).read_bytes() == content:
            return
        time.sleep(0.02)
    raise AssertionError(name)


@pytest.mark.usefixtures("quick")
def test_others_see_what_a_run_writes_while_it_runs_and_all_of_it_at_the_end(machines: Iterator[Machine]) -> None:
    driver, reader = next(machines), next(machines)
    folder = driver.folder / "study"
    (folder / "figures").mkdir(parents=True)
    problems: list[str] = []
    with Sharing(driver, folder, Held()) as running:
        running.on_problem = problems.append
        for content in (b"first", b"later"):
            (folder / "trials.parquet").write_bytes(content)
            wait_for(reader, "study/trials.parquet", content)
        (folder / "plugins" / "0123abcd").mkdir(parents=True)
        (folder / "plugins" / "0123abcd" / "mine.py").write_bytes(b"source")
        wait_for(reader, "study/plugins/0123abcd/mine.py", b"source")
        for name in (".lock", "mlflow.db-wal", "figures/a.png", PACK, "ray.log"):
            (folder / name).write_text(name)
    expected = ["figures/a.png", "plugins/0123abcd/mine.py", "ray.log", "trials.parquet", PACK]
    assert list_names(driver) == [f"study/{name}" for name in expected]
    assert problems == []


@pytest.mark.usefixtures("quick")
def test_a_database_in_use_is_shared_as_a_whole(machines: Iterator[Machine]) -> None:
    driver, reader = next(machines), next(machines)
    path = driver.folder / "study" / "optuna.db"
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as writer, Sharing(driver, path.parent, Held()):
        writer.execute("PRAGMA journal_mode = wal")
        writer.execute("CREATE TABLE t (i)")
        for i in range(50):
            writer.execute("INSERT INTO t VALUES (?)", (i,))
            writer.commit()
        writer.execute("INSERT INTO t VALUES (50)")  # not committed
    fetch_study(reader, "study")
    with closing(sqlite3.connect(reader.folder / "study" / "optuna.db")) as copy:
        assert copy.execute("SELECT count(*) FROM t").fetchone() == (50,)
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.usefixtures("quick")
def test_a_file_that_changes_while_it_is_read_is_looked_at_again(
    machines: Iterator[Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    driver, reader = next(machines), next(machines)
    folder, stamp, errors, problems = (
        driver.folder / "study",
        sharing._stamp,
        [FileNotFoundError(2, "gone")],
        list[str](),
    )
    folder.mkdir(parents=True)

    def look(path: Path) -> sharing.Stamp:
        if errors:
            raise errors.pop()
        return stamp(path)

    with Sharing(driver, folder, Held()) as running:
        running.on_problem = problems.append
        monkeypatch.setattr(sharing, "_stamp", look)
        (folder / "optuna.db").touch()  # as Optuna's history begins
        (folder / "trials.parquet").write_bytes(b"rows")
        wait_for(reader, "study/trials.parquet", b"rows")
    assert (errors, problems) == ([], [])
    assert list_names(driver) == ["study/trials.parquet"]


@pytest.mark.usefixtures("quick")
def test_a_run_that_has_lost_its_study_writes_no_more_of_it(machines: Iterator[Machine]) -> None:
    driver, held, problems = next(machines), Held(), list[str]()
    folder = driver.folder / "study"
    folder.mkdir(parents=True)

    def lose_it() -> None:
        with Sharing(driver, folder, held) as running:
            running.on_problem = problems.append
            held.problem = "another process has taken the study over"
            deadline = time.monotonic() + 10
            while not problems and time.monotonic() < deadline:
                time.sleep(0.02)
            (folder / "trials.parquet").write_bytes(b"mine")

    with pytest.raises(PlaceError, match="another process has taken the study over"):
        lose_it()
    assert "another process has taken the study over" in problems[0]
    assert list_names(driver) == []


def test_a_result_has_the_same_bytes_wherever_it_is_noted(machines: Iterator[Machine], dataset: Dataset) -> None:
    """Else a driver's own copy of it would be fetched again at each start."""
    here, there = next(machines), next(machines)
    result = Result(status="finished", history=[{"epoch": 1, "test/loss": 1 / 3}], metrics={"test/elbo": -0.1})
    folders = [TrialFolder(machine.folder / "study", make_trial(dataset), machine) for machine in (here, there)]
    folders[0].write_result(dataclasses.replace(result))
    folders[1].take_in(result)
    assert len({next(folder.path.glob("result-*")).read_bytes() for folder in folders}) == 1


def train_population(
    folder: Path, dataset: Dataset, driver: Place, next_worker: Callable[[], Place], num_legs: int = 1000
) -> list[Result]:
    """Train a population to its end or for `num_legs` legs, each on whatever machine."""
    (folder / "study").mkdir(parents=True, exist_ok=True)
    study = load(folder / "study", POPULATION)
    source = make_source(study, dataset, driver.folder / "demo", place=driver)
    assert source.notices == []
    for _ in range(num_legs):
        trial = source.next()
        if trial is None:
            break
        worker = next_worker()
        *_, last = run_trial(trial, study.measures, dataset, worker.folder / "demo", place=worker)
        if isinstance(last, Ended):
            TrialFolder(driver.folder / "demo", trial, driver).take_in(last.result)
        source.tell(trial, last.result if isinstance(last, Ended) else Result(status="running"))
    found = [TrialFolder(driver.folder / "demo", trial).read_result() for trial in source.trials]
    return [result for result in found if result is not None]


def test_members_that_waited_when_a_run_ended_are_not_lost(
    machines: Iterator[Machine], dataset: Dataset, tmp_path: Path
) -> None:
    driver, packing, reader = (next(machines) for _ in range(3))
    train_population(tmp_path / "a", dataset, driver, lambda: next(machines), num_legs=8)
    assert len(train_population(tmp_path / "a", dataset, packing, lambda: next(machines), num_legs=2)) == 2
    pack_trials(packing.folder / "demo")
    packing.share(packing.folder / "demo" / PACK)
    fetch_study(reader, "demo")
    states = [path.name for path in reader.folder.glob("demo/trials/*/epoch-2.*")]
    assert states == ["epoch-2.header"] * 4, "what waited is packed, too"
    assert len(train_population(tmp_path / "a", dataset, reader, lambda: next(machines), num_legs=0)) == 2
    assert len([name for name in list_names(reader) if name.endswith("result-3.json")]) == 2


def test_a_population_that_lost_a_members_state_begins_anew_everywhere(
    machines: Iterator[Machine], dataset: Dataset, tmp_path: Path
) -> None:
    """Else states that only the bucket has are fetched again, and go on as if they were of the new population."""
    driver, again = next(machines), next(machines)
    train_population(tmp_path / "a", dataset, driver, lambda: next(machines), num_legs=6)
    states = [item.path for item in again.list(again.folder) if item.path.name == "epoch-1.safetensors"]
    again.remove(states[0])
    fetch_study(again, "demo")
    study = load(tmp_path / "a/study", POPULATION)
    source = make_source(study, dataset, again.folder / "demo", place=again)
    assert ["begins anew" in notice for notice in source.notices] == [True]
    assert [trial.until for trial in iter(source.next, None)] == [1] * 4
    assert [name for name in list_names(again) if "trials/" in name and not name.endswith("log.txt")] == []


@pytest.mark.slow
def test_a_population_takes_over_states_of_other_machines(
    machines: Iterator[Machine], dataset: Dataset, tmp_path: Path
) -> None:
    alone = Folder(tmp_path / "alone-in-a-folder")
    expected = train_population(tmp_path / "a", dataset, alone, lambda: alone)
    found = train_population(tmp_path / "b", dataset, next(machines), lambda: next(machines))
    assert [untimed(result.history) for result in found] == [untimed(result.history) for result in expected]
    assert [result.metrics for result in found] == [result.metrics for result in expected]
    changed = {row["pbt/learning_rate"] for result in expected for row in result.history}
    assert len(changed) > 4, "some have taken over from others"
