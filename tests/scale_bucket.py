"""What a bucket costs, beside a folder: `python -m tests.scale_bucket --trials 10000 --pairs 3`.

Moto's server stands in for S3, in a process of its own on this machine: each request takes 2 ms of a core. Prints
how long `status` and `plot` take of so many finished trials, from a machine that has nothing of them and again; and the
quickstart in a bucket against the same in a folder, in pairs, one after the other, with the load of the machine.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from harness.datasets import load_dataset
from harness.ledger.fetching import pack_trials
from harness.ledger.result import Result
from harness.ledger.sharing import Sharing
from harness.ledger.tables import build_tables, write_tables
from harness.ledger.trial_folder import TrialFolder
from harness.search.grid_and_random import plan_trials
from harness.storage.bucket import open_place
from harness.study import Study
from harness.study.file import dump_study

ADDRESS = "s3://scale/results"
REPOSITORY = Path(__file__).parents[1]
SERVER = """
import time
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(*server.get_host_and_port(), flush=True)
time.sleep(100_000)
"""


@contextmanager
def serving() -> Iterator[None]:
    """Serve a bucket, and have the environment of those who use it."""
    quiet = subprocess.DEVNULL
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, stderr=quiet, text=True) as server:
        assert server.stdout is not None
        line = next(line for line in server.stdout if line.startswith("127.0.0.1 "))
        endpoint = "http://{}:{}".format(*line.split())
        urllib.request.urlopen(urllib.request.Request(f"{endpoint}/scale", method="PUT")).close()
        os.environ |= {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": endpoint}
        os.environ |= {"AWS_DEFAULT_REGION": "us-east-1"}
        try:
            yield
        finally:
            server.kill()


def make_finished(num_trials: int) -> Study:
    """Put the files of a study whose trials have all finished into the bucket, as a run leaves them."""
    study = Study.model_validate(
        {
            "name": "scale",
            "dataset": "digits",
            "defaults": {"hidden": [8], "batch_size": 128, "epochs": 5},
            "space": [{"model": "vae", "latent_dim": {"grid": [2, 4, 6, 8, 10]}}],
            "seeds": list(range(num_trials // 5)),
            "evaluate": ["elbo"],
            "figures": ["elbo_by_latent_dim"],
        }
    )
    place, ended = open_place(ADDRESS), []
    folder = place.folder / study.name
    with place.hold(study.name, "taken") as hold, Sharing(place, folder, hold):
        for i, trial in enumerate(plan_trials(study, load_dataset("digits"))):
            rows: list[Any] = [
                {"epoch": e, "step": 12 * e, "seconds": 0.1, "train/loss": 40.0 + 1 / e, "test/loss": 40.0 + i % 7 / e}
                for e in range(1, 6)
            ]
            result = Result(
                status="finished",
                history=rows,
                metrics={"test/elbo": -40.0 - i % 11, "test/rate": 5.0, "test/distortion": 35.0 + i % 11},
                evaluated=list(study.measures.evaluated),
                ended=time.time(),
            )
            trial_folder = TrialFolder(folder, trial, place)
            trial_folder.take_in(result)
            for name in ("began-5.json", "log.txt", "epoch-5.safetensors"):
                (trial_folder.path / name).write_bytes(b"1.0" if name == "began-5.json" else bytes(1000))
            ended.append((trial, result))
        place.share(*(path for path in (folder / "trials").rglob("*") if path.is_file()))
        (folder / "study.yaml").write_text(dump_study(study))
        write_tables(folder, build_tables(study, ended, {}))
        for state in (folder / "trials").rglob("*.safetensors"):
            state.rename(state.with_suffix(".header")).write_bytes(b"")  # as a driver has it
        pack_trials(folder)
    return study


def spikeslab(folder: Path, *arguments: str) -> tuple[float, float, str]:
    """Run a command; returns its seconds, those of processor time, and what it printed."""
    began, used = time.monotonic(), os.times()
    words = [str(Path(sys.executable).parent / "spikeslab"), *arguments]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    now = os.times()
    processor = now.children_user + now.children_system - used.children_user - used.children_system
    return time.monotonic() - began, processor, done.stdout


def measure_reading(num_trials: int, scratch: Path) -> dict[str, Any]:
    os.environ["XDG_CACHE_HOME"] = str(scratch / "writer")
    make_finished(num_trials)
    local = next((scratch / "writer" / "spikeslab" / "results").iterdir())
    measured: dict[str, Any] = {"trials": num_trials}
    for command in ("status", "plot"):
        os.environ["XDG_CACHE_HOME"] = str(scratch / f"reader-{command}")
        for how, where in (("in a folder", str(local)), ("from a bucket", ADDRESS), ("again", ADDRESS)):
            seconds, processor, said = spikeslab(scratch, command, "scale", "--results", where)
            assert re.search(rf"finished +{num_trials}|elbo_by_latent_dim", said), said
            measured[f"{command}, {how}, s and s of processor time"] = round(seconds, 1), round(processor, 1)
    return measured | {"load": round(os.getloadavg()[0], 1)}


def measure_quickstart(pairs: int, scratch: Path) -> dict[str, Any]:
    ratios, loads = [], []
    for pair in range(pairs):
        os.environ["XDG_CACHE_HOME"] = str(scratch / f"quickstart-{pair}")
        places = [str(scratch / f"local-{pair}"), f"{ADDRESS}/quickstart-{pair}"]
        seconds = {}
        for where in places if pair % 2 else places[::-1]:
            seconds[where], _, _ = spikeslab(REPOSITORY, "run", "studies/quickstart.yaml", "--results", where)
            loads.append(os.getloadavg()[0])
        ratios.append(seconds[places[1]] / seconds[places[0]])
        print(f"in a folder {seconds[places[0]]:.0f} s, in a bucket {seconds[places[1]]:.0f} s: {ratios[-1]:.2f}")
    told = {"ratios": [round(ratio, 2) for ratio in ratios], "median": round(median(ratios), 2)}
    return told | {"load": [round(min(loads), 1), round(max(loads), 1)]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3, help="of quickstarts; 0: none")
    parser.add_argument("--trials", type=int, default=10_000, help="a multiple of 5; 0: none")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="spikeslab-bucket-") as folder, serving():
        if given.pairs:  # first, as moto looks through all that a bucket holds to list a folder
            print(json.dumps(measure_quickstart(given.pairs, Path(folder)), indent=1))
        if given.trials:
            print(json.dumps(measure_reading(given.trials, Path(folder)), indent=1))


if __name__ == "__main__":
    main()
