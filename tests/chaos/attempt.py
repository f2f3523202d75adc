"""One study on a cluster of its own, which is to be hit by a fault."""

import random
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from harness.storage.objects import Objects
from tests.harness.cluster.heads import BIN
from tests.real_cluster.cluster import Cluster
from tests.real_cluster.machines import Machine, Network
from tests.real_cluster.outcome import read_files
from tests.real_cluster.services import BUCKET, Storage

NAME, NUM_TRIALS, NUM_EPOCHS, CHECKPOINT_EVERY = "chaos", 6, 900, 20
STUDY = f"""\
name: {NAME}
dataset: digits
defaults: {{hidden: [32], batch_size: 64, epochs: {NUM_EPOCHS}}}
space:
  - {{model: vae, latent_dim: {{grid: [2, 4]}}}}
  - {{model: vsc, latent_dim: 4, alpha: 0.2}}
seeds: [0, 1]
evaluate: [elbo]
checkpoint_every: {CHECKPOINT_EVERY}
figures: []
"""
STATE = ".safetensors"
NOTICE = re.compile(r"^(error:|Stopped|MLflow|A machine|Nobody)|goes on from epoch|begins again", re.MULTILINE)
TAKEN_UP = re.compile(r" epochs, from epoch (\d+)$")
EPOCH = re.compile(r" INFO epoch (\d+) ")

Run = subprocess.Popen[str]


@dataclass
class Attempt:
    """A study, and where it runs: on a head that trains nothing, and two nodes of one core each."""

    folder: Path  # with the study's file; all machines see it
    network: Network
    storage: Storage | None  # None: the results are in the folder
    moment: random.Random
    environment: dict[str, str] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    told: list[str] = field(default_factory=list)  # all that each run has printed
    said: list[str] = field(default_factory=list)  # of it, what tells of the fault
    struck_at: float = 0.0

    def __post_init__(self) -> None:
        self.results = str(self.folder / "results") if self.storage is None else f"s3://{BUCKET}/{self.folder.name}"
        self.place = f"{self.results}/{NAME}"
        self.start_cluster("first")

    def start_cluster(self, name: str) -> None:
        """Start a cluster, in place of the one before."""
        self.cluster = Cluster(self.network, self.storage.variables if self.storage else {}, name=name)
        self.nodes = [self.cluster.join(), self.cluster.join()]
        self.cluster.wait_for_nodes()

    @property
    def node(self) -> Machine:
        """The one to be hit."""
        return self.nodes[0]

    def start(self) -> Run:
        """Start the study from the head, or go on with it."""
        words = ["run", f"{NAME}.yaml", "--address", self.cluster.address, "--results", self.results]
        return self._start(self.cluster.head, words, through=None)

    def submit(self, laptop: Machine) -> Run:
        """Submit the study from another machine, and follow it."""
        return self._start(
            laptop, ["submit", f"{NAME}.yaml", "--results", self.results, "--follow"], through=self.cluster.head
        )

    def _start(self, machine: Machine, words: list[str], through: Machine | None) -> Run:
        pipe, environment = subprocess.PIPE, self.cluster.environment | self.environment
        run: Run = machine.start(
            [str(BIN / "spikeslab"), *words],
            environment,
            self.folder,
            through=through,
            stdout=pipe,
            stderr=pipe,
            text=True,
        )
        self.runs.append(run)
        return run

    def wait_to_strike(self, run: Run) -> None:
        """Wait for a random moment of the training."""
        began = time.monotonic()
        while not self.read(STATE, names_only=True):
            assert run.poll() is None, run.communicate()
            time.sleep(0.2)
        time.sleep(self.moment.uniform(0, 8))
        self.struck_at = time.monotonic() - began

    def kill_run(self) -> None:
        """Kill the driver that was started last."""
        self.runs[-1].kill()

    def end_run(self) -> None:
        """Ask it to end."""
        self.runs[-1].terminate()

    def finish(self, run: Run) -> int:
        """Wait for the end of a run; keeps the last sentence that it said about the fault."""
        told, error = run.communicate(timeout=500)
        self.told.append(told + error)
        assert "Traceback" not in told + error, told + error
        self.said += [line for line in (*told.splitlines(), *error.splitlines()) if NOTICE.search(line)][-1:]
        return run.returncode

    def strike_and_finish(self, strike: Callable[[], None]) -> int:
        """Start the study, and let something happen to it."""
        run = self.start()
        self.wait_to_strike(run)
        strike()
        return self.finish(run)

    def go_on(self) -> int:
        """Run the study again."""
        return self.finish(self.start())

    def read(self, end: str, *, names_only: bool = False) -> dict[str, bytes]:
        """Read the files of the study whose names end so."""
        return read_files(self.place, end, names_only=names_only)

    def write(self, name: str, content: bytes) -> None:
        """Write a file of the study."""
        if self.storage is None:
            Path(self.place, name).write_bytes(content)
        else:
            Objects(self.place, 5.0, 5.0).write(name, content)

    def count_again(self) -> tuple[int, int]:
        """How many epochs the trials' logs have again, and how often a trial was taken up again."""
        num_again = num_taken_up = 0
        for log in self.read("log.txt").values():
            reached = furthest = 0
            for line in log.decode().splitlines():
                if taken := TAKEN_UP.search(line):
                    num_again += max(0, reached - int(taken[1]))
                    num_taken_up += 1
                elif epoch := EPOCH.search(line):
                    reached = int(epoch[1])
                    furthest = max(furthest, reached)
            assert furthest == NUM_EPOCHS
        return num_again, num_taken_up - NUM_TRIALS

    def end(self) -> None:
        """End what still runs."""
        for run in self.runs:
            if run.poll() is None:
                run.kill()
                run.communicate()
