"""Studies on a real cluster, each hit by one fault at a random moment: `python -m tests.chaos --rounds 2`.

Each study ends complete, run again where its fault ended the run, and equal to the bit to one that nothing disturbed.
Prints a row for each: what the user saw, when the fault came, how long all took. Faults that mount a file system need
root.
"""

import argparse
import os
import random
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import psutil

from tests.e2e.conftest import command
from tests.harness.cluster.heads import Head

STUDY = """\
name: chaos
dataset: digits
defaults: {hidden: [32], batch_size: 64, epochs: 300}
space:
  - {model: vae, latent_dim: {grid: [2, 4]}}
  - {model: vsc, latent_dim: 4, alpha: 0.2}
seeds: [0, 1]
evaluate: [elbo]
checkpoint_every: 20
figures: []
"""
NUM_TRIALS = 6
NOT_OF_THE_MODEL = ("seconds", "hours", "memory", "began", "ended", "mlflow", "run_id", "time")


@dataclass
class Attempt:
    """One study on a cluster of its own: a head and a further node of one core each."""

    folder: Path
    head: Head
    node: "subprocess.Popen[bytes]"
    moment: random.Random
    environment: dict[str, str] = field(default_factory=dict)
    runs: list["subprocess.Popen[str]"] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    struck_at: float = 0.0

    def start(self) -> "subprocess.Popen[str]":
        """Start the study, or go on with it."""
        words = command("run", "chaos.yaml", "--address", self.head.address)
        pipe, environment = subprocess.PIPE, self.head.client | self.environment
        run = subprocess.Popen(words, cwd=self.folder, env=environment, stdout=pipe, stderr=pipe, text=True)
        self.runs.append(run)
        return run

    def strike_within(self, run: "subprocess.Popen[str]") -> None:
        """Wait for a random moment of the training."""
        began = time.monotonic()
        while not list(self.folder.glob("results/chaos/trials/*/*.safetensors")):
            assert run.poll() is None, run.communicate()
            time.sleep(0.1)
        time.sleep(self.moment.uniform(0, 8))
        self.struck_at = time.monotonic() - began

    def kill_run(self) -> None:
        """Kill the driver."""
        self.runs[-1].kill()

    def end_run(self) -> None:
        """Ask the driver to end."""
        self.runs[-1].terminate()

    def finish(self, run: "subprocess.Popen[str]") -> int:
        """Wait for the end of a run; keeps the last sentence that it said about the fault."""
        told, error = run.communicate(timeout=400)
        lines = [line for line in (*told.splitlines(), *error.splitlines()) if is_notice(line)]
        self.said += lines[-1:]
        return run.returncode

    def go_on(self) -> int:
        """Run the study again."""
        return self.finish(self.start())


def is_notice(line: str) -> bool:
    starts = ("error:", "Stopped", "MLflow", "A machine joined", "Nobody")
    return line.startswith(starts) or "goes on from epoch" in line or "begins again" in line


def list_family(parent: int) -> list[psutil.Process]:
    root = psutil.Process(parent)
    return [*root.children(recursive=True), root]


def send(processes: list[psutil.Process], signum: int) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signum)


def strike_and_finish(attempt: Attempt, strike: Callable[[], None]) -> int:
    run = attempt.start()
    attempt.strike_within(run)
    strike()
    return attempt.finish(run)


def kill_driver(attempt: Attempt) -> int:
    strike_and_finish(attempt, attempt.kill_run)
    return attempt.go_on()


def end_driver(attempt: Attempt) -> int:
    assert strike_and_finish(attempt, attempt.end_run) == 128 + signal.SIGTERM
    return attempt.go_on()


def kill_worker(attempt: Attempt) -> int:
    def strike() -> None:
        for _ in range(200):
            workers = [p for p in list_family(attempt.node.pid) if "StudyTrainable" in " ".join(p.cmdline())]
            if workers:
                workers[0].kill()
                return
            time.sleep(0.05)

    return strike_and_finish(attempt, strike)


def lose_node(attempt: Attempt) -> int:
    return strike_and_finish(attempt, lambda: send(list_family(attempt.node.pid), signal.SIGKILL))


def end_node(attempt: Attempt) -> int:
    return strike_and_finish(attempt, lambda: send(list_family(attempt.node.pid), signal.SIGTERM))


def freeze_node(attempt: Attempt) -> int:
    """As a node that is cut off: it is there, and says nothing any more."""
    frozen: list[psutil.Process] = []

    def strike() -> None:
        frozen.extend(list_family(attempt.node.pid))
        send(frozen, signal.SIGSTOP)

    status = strike_and_finish(attempt, strike)
    send(frozen, signal.SIGCONT)
    return status


def lose_head(attempt: Attempt) -> int:
    def strike() -> None:
        send([p for p in list_family(attempt.head.process.pid) if "gcs_server" in p.name()], signal.SIGKILL)

    assert strike_and_finish(attempt, strike) == 2
    attempt.head.kill()
    with Head() as attempt.head:
        return attempt.go_on()


def lose_tracking(attempt: Attempt) -> int:
    attempt.environment["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"
    return strike_and_finish(attempt, lambda: None)


def fill_disk(attempt: Attempt) -> int:
    results = attempt.folder / "results"

    def strike() -> None:
        free = shutil.disk_usage(results).free
        with suppress(OSError):
            (results / "filler").write_bytes(b"x" * free)

    results.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=30m", "none", str(results)], check=True)
    try:
        strike_and_finish(attempt, strike)
        (results / "filler").unlink()
        status = attempt.go_on()
        shutil.copytree(results, attempt.folder / "kept")
    finally:
        subprocess.run(["umount", "-l", str(results)], check=True)
    shutil.copytree(attempt.folder / "kept", results, dirs_exist_ok=True)
    return status


def damage_checkpoint(attempt: Attempt) -> int:
    strike_and_finish(attempt, attempt.kill_run)
    states = sorted(attempt.folder.glob("results/chaos/trials/*/*.safetensors"), key=lambda path: path.stat().st_mtime)
    content = bytearray(states[-1].read_bytes())
    content[len(content) // 2] ^= 0xFF
    states[-1].write_bytes(bytes(content[: -len(content) // 4]))
    return attempt.go_on()


def join_other_code(attempt: Attempt) -> int:
    clone = attempt.folder / "clone"
    repository = Path(__file__).parents[1]
    mounts = []
    for name in ("harness", "models", "analysis"):
        shutil.copytree(repository / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
        mounts.append(f"mount --bind {shlex.quote(str(clone / name))} {shlex.quote(str(repository / name))}")
    source = clone / "models" / "settings.py"
    source.write_text(source.read_text() + "# other code\n")
    return strike_and_finish(attempt, lambda: attempt.head.join(*mounts) and None)


FAULTS: dict[str, Callable[[Attempt], int]] = {
    "driver killed": kill_driver,
    "driver asked to end (TERM)": end_driver,
    "process of a trial killed": kill_worker,
    "node lost": lose_node,
    "node asked to end (TERM)": end_node,
    "node frozen, as if cut off": freeze_node,
    "head lost": lose_head,
    "tracking server down": lose_tracking,
    "disk full": fill_disk,
    "checkpoint damaged": damage_checkpoint,
    "node of other code joins": join_other_code,
}
NEED_ROOT = ("disk full", "node of other code joins")


def read_results(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What a study's models came to: the tables of its trials and epochs without what a clock says."""
    tables = []
    for name, keys in (("trials", ["trial_id"]), ("history", ["trial_id", "epoch"])):
        table = pd.read_parquet(folder / f"{name}.parquet")
        kept = [column for column in table if not any(word in column for word in NOT_OF_THE_MODEL)]
        tables.append(table[kept].sort_values(keys).reset_index(drop=True))
    return tables[0], tables[1]


@contextmanager
def placed() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="spikeslab-chaos-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "chaos.yaml").write_text(STUDY)
        yield folder


def run_undisturbed(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "MLFLOW_"))}
    words = command("run", "chaos.yaml")
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return read_results(folder / "results" / "chaos")


def hit(name: str, seed: int, expected: tuple[pd.DataFrame, pd.DataFrame]) -> str:
    """Run one study with one fault; returns its row."""
    began = time.monotonic()
    with placed() as folder, Head(num_cpus=1) as head:
        node = head.join(num_cpus=1)
        head.wait_for_nodes(2)
        attempt = Attempt(folder, head, node, random.Random(seed))
        try:
            status = FAULTS[name](attempt)
        finally:
            for run in attempt.runs:
                if run.poll() is None:
                    run.kill()
                    run.wait()
        trials, history = read_results(folder / "results" / "chaos")
    assert status == 0, (name, status, attempt.said)
    assert len(trials) == NUM_TRIALS
    for got, wanted in ((trials, expected[0]), (history, expected[1])):
        columns = [column for column in wanted if column in got]
        pd.testing.assert_frame_equal(got[columns], wanted[columns], check_exact=True)
    silence = "nothing: the run goes on" if len(attempt.runs) == 1 else "nothing, but that the command is gone"
    sentence = attempt.said[0] if attempt.said else silence
    seconds = time.monotonic() - began
    return f"| {name} | {attempt.struck_at:.0f} | {len(attempt.runs)} | {seconds:.0f} | {sentence[:150]} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1, help="studies per fault")
    parser.add_argument("--only", choices=FAULTS, action="append")
    given = parser.parse_args()
    with placed() as folder:
        expected = run_undisturbed(folder)
    print(f"Load {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores. Each row is complete and equal to the bit.")
    print("| fault | struck after s | runs | s in all | what the user sees |\n|---|---|---|---|---|", flush=True)
    for seed in range(given.rounds):
        for name in given.only or FAULTS:
            if name in NEED_ROOT and os.geteuid() != 0:
                print(f"| {name} | | | | skipped: needs root |")
            else:
                print(hit(name, seed, expected), flush=True)


if __name__ == "__main__":
    main()
