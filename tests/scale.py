"""What a trial costs the driver: a study of trials that train nothing, `python -m tests.scale --trials 1000`.

Prints, for each tenth of the study and over all, milliseconds a trial on the clock and of processor time of the driver,
its memory, its open files, how many files it opened and MLflow's database was changed for a trial (where it is not
written ahead), and how far MLflow is behind; then how long MLflow is waited for at the end, and what running the study
again costs. `--profile` names the functions that take longest in the main thread. `--bare` measures MLflow's client
alone, without anything of ours.
"""

import argparse
import cProfile
import importlib
import io
import json
import os
import pstats
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Generator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from rich.console import Console

from harness.cluster.connect import quieten_ray
from harness.storage.place import Folder

quieten_ray()
from harness.commands.outcome import Outcome  # noqa: E402
from harness.commands.run import run_study  # noqa: E402
from harness.ledger.result import Ended, Epoch, Event, Result, Row  # noqa: E402
from harness.ledger.trial import Trial  # noqa: E402
from harness.ledger.trial_folder import TrialFolder  # noqa: E402
from harness.study import Study  # noqa: E402
from harness.study.file import dump_study  # noqa: E402
from harness.tracking.mlflow_settings import quieten_mlflow  # noqa: E402
from harness.tune import plan  # noqa: E402
from harness.tune.study_run import StudyRun  # noqa: E402
from harness.tune.trainable import StudyTrainable  # noqa: E402

NUM_PARTS = 10
PARAMS, TAGS = 22, 20  # as many as a trial has


def make_rows(num_epochs: int, num_metrics: int) -> list[Row]:
    """The epochs of a trial, each with made-up metrics besides what every trial has."""
    made_up = {f"train/made_up_{i}": float(i) for i in range(num_metrics - 2)}
    return [
        {"epoch": epoch, "step": epoch, "seconds": 0.0, "train/loss": 2.0 / epoch, "test/loss": 1.0 / epoch} | made_up
        for epoch in range(1, num_epochs + 1)
    ]


class TrainsNothing(StudyTrainable):
    """Reports the epochs of a trial at once, with made-up metrics, and stores its result."""

    num_metrics = 3

    def _start(self, config: dict[str, Any]) -> Generator[Event]:
        self._is_searching, self._train_seconds, self._num_judged = True, 0.0, 0
        trial = config["trial"]
        rows = make_rows(trial.settings.epochs, self.num_metrics)
        folder = TrialFolder(self._study_folder, trial)
        folder.path.mkdir(parents=True, exist_ok=True)
        now = time.time()
        result = Result(
            status="finished",
            history=rows,
            metrics={"test/elbo": -1.0},
            evaluated=list(self._measures.evaluated),
            ended=now,
        )
        folder.write_result(result)
        yield from map(Epoch, rows[:-1])
        yield Ended(result)


def make_study(num_trials: int, epochs: int) -> Study:
    return Study.model_validate(
        {
            "name": "scale",
            "dataset": "digits",
            "defaults": {"hidden": [8], "batch_size": 128, "epochs": epochs},
            "space": [{"model": "vae", "latent_dim": 2}],
            "seeds": list(range(num_trials)),
            "evaluate": ["elbo"],
            "figures": [],
            "resources": {"cpu": 1},
        }
    )


@dataclass(frozen=True)
class Mark:
    """What the driver has used by now."""

    trials: int
    seconds: float
    processor_seconds: float
    kilobytes: float
    opened: int  # files, or folders listed
    changes: int  # of MLflow's database
    behind: int  # trials that MLflow still lacks


class Meter:
    """Notes what the driver has used when a tenth more of the trials has ended."""

    def __init__(self, num_trials: int, database: Path) -> None:
        self._every, self._database = max(num_trials // NUM_PARTS, 1), database
        self._process, self._opened = psutil.Process(), 0
        self.marks: list[Mark] = []
        self.most_open = 0
        sys.addaudithook(self._count)

    def _count(self, event: str, _: object) -> None:
        self._opened += event in ("open", "os.listdir", "os.scandir")

    def note(self, num_trials: int, behind: int = 0) -> None:
        if num_trials % self._every and self.marks:
            return
        used, now = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
        memory = self._process.memory_info().rss / 1e3
        self.most_open = max(self.most_open, self._process.num_fds())
        changes = count_changes(self._database)
        self.marks.append(Mark(num_trials, now, used.ru_utime + used.ru_stime, memory, self._opened, changes, behind))

    def report(self) -> list[dict[str, float]]:
        return [describe(a, b) for a, b in zip(self.marks, self.marks[1:], strict=False)]


def describe(a: Mark, b: Mark) -> dict[str, float]:
    """What a trial cost between two marks."""
    seconds, processor_seconds, kilobytes, opened, changes, _ = (
        (y - x) / (b.trials - a.trials) for x, y in zip(astuple(a)[1:], astuple(b)[1:], strict=True)
    )
    return {
        "up to trial": b.trials,
        "ms": round(1000 * seconds, 1),
        "processor ms": round(1000 * processor_seconds, 1),
        "KB": round(kilobytes, 1),
        "files opened": round(opened, 1),
        "changes of MLflow's database": round(changes, 1),
        "trials that MLflow lacks": b.behind,
    }


def count_changes(database: Path) -> int:
    """How often an SQLite file was changed, by its header; each time takes a few waits for the disk."""
    return int.from_bytes(database.read_bytes()[24:28], "big") if database.exists() else 0


def run_once(study: Study, results: Path) -> tuple[Outcome, dict[str, float]]:
    """Run the study; returns how it ended, and its cost: seconds, of the clock and of the driver's processor time."""
    before, wall = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outcome = run_study(study, dump_study(study), results=Folder(results), console=Console(file=io.StringIO()))
    after = resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return outcome, {"seconds": time.monotonic() - wall, "processor_seconds": used}


def measure(num_trials: int, epochs: int, num_metrics: int, *, profile: bool = False) -> dict[str, Any]:
    """Run a study of trials that train nothing, twice; returns what it cost."""
    TrainsNothing.num_metrics = num_metrics
    study = make_study(num_trials, epochs)
    with tempfile.TemporaryDirectory(prefix="spikeslab-scale-") as folder, pytest.MonkeyPatch.context() as patch:
        results, profiler = Path(folder), cProfile.Profile()
        meter, end = Meter(num_trials, results / "mlflow.db"), StudyRun.end

        def end_and_note(run: StudyRun, trial: Trial, error: str | None = None) -> None:
            end(run, trial, error)
            meter.note(run.num_trained, run.tracker._num_unsent)

        patch.setattr(plan, "StudyTrainable", TrainsNothing)
        patch.setattr(StudyRun, "end", end_and_note)
        if profile:
            profiler.enable()
        outcome, cost = run_once(study, results)
        profiler.disable()
        waited = time.monotonic() - meter.marks[-1].seconds
        trials = pd.read_parquet(results / "scale" / "trials.parquet")
        again, cost_again = run_once(study, results)
    if profile:
        pstats.Stats(profiler).sort_stats("cumulative").print_stats(45)
    startup = outcome.startup_seconds
    return {
        "trials": num_trials,
        "done": outcome.num_done,
        "by part": meter.report(),
        "start-up s": round(startup, 1),
        "after the last trial, s": round(waited, 1),
        "ms a trial, after start-up": round(1000 * (cost["seconds"] - startup) / num_trials, 1),
        "ms of processor time a trial": round(1000 * cost["processor_seconds"] / num_trials, 1),
        "KB a trial, after the first tenth": describe(meter.marks[1], meter.marks[-1])["KB"],
        "driver MB": round(meter.marks[-1].kilobytes / 1e3),
        "open files, most": meter.most_open,
        "rows without an MLflow run": int(trials.mlflow_run_id.isna().sum()),
        "again, trained": again.num_trained,
        "again, s": round(cost_again["seconds"], 1),
        "again, processor s": round(cost_again["processor_seconds"], 1),
        "load": round(os.getloadavg()[0], 1),
    }


def measure_bare(num_runs: int, epochs: int, num_metrics: int) -> list[dict[str, float]]:
    """What MLflow's client costs by itself for runs of this size, in its four calls: the least that we can take."""
    quieten_mlflow()
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, RunTag

    with tempfile.TemporaryDirectory(prefix="spikeslab-scale-") as folder:
        client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
        experiment = client.create_experiment("bare")
        meter = Meter(num_runs, Path(folder) / "mlflow.db")
        for number in range(num_runs + 1):
            meter.note(number)
            run_id = client.create_run(experiment, tags={f"tag_{i}": "value" for i in range(TAGS)}).info.run_id
            now = int(time.time() * 1000)
            rows = make_rows(epochs, num_metrics)
            client.log_batch(
                run_id,
                [Metric(name, float(value or 0), now, i) for i, row in enumerate(rows) for name, value in row.items()],
                [Param(f"param_{i}", "value") for i in range(PARAMS)],
                [RunTag("complete", "yes")],
            )
            client.update_run(run_id, status="FINISHED")
        return meter.report()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--metrics", type=int, default=5, help="besides epoch, step and seconds")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--bare", action="store_true")
    given = parser.parse_args()
    if given.bare:
        print(json.dumps(measure_bare(given.trials, given.epochs, given.metrics), indent=1))
        return
    print(json.dumps(measure(given.trials, given.epochs, given.metrics, profile=given.profile), indent=1))


if __name__ == "__main__":
    # Workers import the class by its module's name, which is not `__main__` there.
    importlib.import_module("tests.scale").main()
