"""What a trial costs the driver: a study of trials that train nothing, `python -m tests.scale --trials 1000`.

Prints milliseconds a trial on the clock and of processor time of the driver, how much MLflow's thread waits for, the
driver's memory, and what running it again costs. `--profile` names the functions that take longest in the main thread.
"""

import argparse
import cProfile
import importlib
import io
import json
import os
import pstats
import resource
import tempfile
import time
import warnings
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from rich.console import Console

from harness.cluster.connect import quieten_ray
from harness.storage.place import Folder

quieten_ray()
from harness.commands.run import Outcome, run_study  # noqa: E402
from harness.ledger.result import Ended, Epoch, Event, Result, Row  # noqa: E402
from harness.ledger.trial_folder import TrialFolder  # noqa: E402
from harness.study import Study  # noqa: E402
from harness.study.file import dump_study  # noqa: E402
from harness.tune import plan  # noqa: E402
from harness.tune.trainable import StudyTrainable  # noqa: E402


class TrainsNothing(StudyTrainable):
    """Reports the epochs of a trial at once, with made-up metrics, and stores its result."""

    num_metrics = 3

    def _start(self, config: dict[str, Any]) -> Generator[Event]:
        self._is_searching, self._train_seconds, self._num_judged = True, 0.0, 0
        trial = config["trial"]
        rows: list[Row] = [
            {"epoch": epoch, "step": epoch, "seconds": 0.0, "test/loss": 1.0 / epoch}
            | {f"train/made_up_{i}": float(i) for i in range(self.num_metrics)}
            for epoch in range(1, trial.settings.epochs + 1)
        ]
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
    TrainsNothing.num_metrics = num_metrics
    study = make_study(num_trials, epochs)
    with tempfile.TemporaryDirectory(prefix="spikeslab-scale-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "StudyTrainable", TrainsNothing)
        results, profiler = Path(folder), cProfile.Profile()
        if profile:
            profiler.enable()
        outcome, cost = run_once(study, results)
        profiler.disable()
        memory = psutil.Process().memory_info().rss
        trials = pd.read_parquet(results / "scale" / "trials.parquet")
        again, cost_again = run_once(study, results)
    if profile:
        pstats.Stats(profiler).sort_stats("cumulative").print_stats(45)
    startup = outcome.startup_seconds
    return {
        "trials": num_trials,
        "done": outcome.num_done,
        "start-up s": round(startup, 1),
        "ms a trial, after start-up": round(1000 * (cost["seconds"] - startup) / num_trials, 1),
        "ms of processor time a trial": round(1000 * cost["processor_seconds"] / num_trials, 1),
        "driver MB": round(memory / 1e6),
        "rows without an MLflow run": int(trials.mlflow_run_id.isna().sum()),
        "again, trained": again.num_trained,
        "again, s": round(cost_again["seconds"], 1),
        "load": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--metrics", type=int, default=3)
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    print(json.dumps(measure(given.trials, given.epochs, given.metrics, profile=given.profile), indent=1))


if __name__ == "__main__":
    # Workers import the class by its module's name, which is not `__main__` there.
    importlib.import_module("tests.scale").main()
