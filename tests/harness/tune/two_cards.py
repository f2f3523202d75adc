"""A study on two cards that are none: Ray counts two, and their engines train on the CPU.

`python -m tests.harness.tune.two_cards FOLDER`, in a process of its own, as a process has one cluster; it prints what
it saw as JSON. The engine of one card is killed once every trial has a checkpoint.
"""

import dataclasses
import io
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import ray
from rich.console import Console

from harness.cluster.connect import quieten_ray
from harness.commands.run import run_study
from harness.datasets import load_dataset
from harness.ledger.trial_folder import TrialFolder
from harness.search.grid_and_random import plan_trials
from harness.storage.place import Folder
from harness.study import Study
from harness.study.file import dump_study
from harness.tune import plan
from harness.tune.engine_actor import EngineSpec

STUDY = Study.model_validate(
    {
        "name": "small",
        "dataset": "digits",
        "defaults": {"hidden": [64], "batch_size": 16, "epochs": 40},
        "space": [{"model": "vae", "latent_dim": {"grid": [2, 3, 4, 5]}}],
        "evaluate": ["elbo"],
        "checkpoint_every": 1,
        "resources": {"gpu": 0.5},
    }
)


def find_engines() -> list[dict[str, Any]]:
    """The engines that live: their card, process and trials."""

    def describe(actor: Any) -> dict[str, Any]:
        trials = [slot.run.trial.trial_id for slot in actor._engine.slots._slots.values()]
        return {"card": os.environ.get("CUDA_VISIBLE_DEVICES"), "pid": os.getpid(), "trials": trials}

    found = []
    for named in ray.util.list_named_actors(all_namespaces=True):
        if named["name"].startswith("engine-"):
            try:
                found.append(ray.get(ray.get_actor(named["name"], named["namespace"]).__ray_call__.remote(describe)))
            except (ValueError, ray.exceptions.RayError):  # it has just ended
                continue
    return found


def main(results: Path) -> None:
    """Run the study; print what was seen when the engine was killed, and what came of the study."""
    quieten_ray()
    ray.init("local", num_cpus=2, num_gpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    specify = plan._specify_engines

    def specify_on_cpu(*args: Any, **kwargs: Any) -> EngineSpec:
        return dataclasses.replace(specify(*args, **kwargs), device="cpu")

    plan._specify_engines = specify_on_cpu
    trials = plan_trials(STUDY, load_dataset("digits"))
    folders = {trial.trial_id: TrialFolder(results / "small", trial) for trial in trials}
    seen: list[dict[str, Any]] = []

    def kill() -> None:
        while not all(folder.list_own_states() for folder in folders.values()):
            time.sleep(0.05)
        seen.extend(sorted(find_engines(), key=lambda engine: str(engine["card"])))
        os.kill(seen[0]["pid"], signal.SIGKILL)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    outcome = run_study(STUDY, dump_study(STUDY), results=Folder(results), console=Console(file=io.StringIO()))
    thread.join()
    resumed = [name for name, folder in folders.items() if "resumed from its checkpoint" in folder.log.read_text()]
    ended = {"num_done": outcome.num_done, "num_failed": outcome.num_failed}
    print(json.dumps({"engines": seen, "resumed": resumed, **ended}))
    ray.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
