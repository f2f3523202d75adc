"""Strikes studies, and prints a row for each: what the user saw, when the fault came, how long all took."""

import argparse
import os
import random
import signal
import subprocess
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tests.chaos
from tests.chaos.attempt import CHECKPOINT_EVERY, NAME, NUM_TRIALS, STUDY, Attempt
from tests.chaos.faults import FAULTS, Fault
from tests.real_cluster.machines import Network, why_not
from tests.real_cluster.outcome import Tables, check_equal, read_results, run_undisturbed
from tests.real_cluster.services import start_storage

HEAD = "| fault | results in | struck after s | runs | epochs again | s in all | what the user sees |"


@contextmanager
def placed() -> Iterator[Path]:
    """A folder with the study."""
    with tempfile.TemporaryDirectory(prefix="spikeslab-chaos-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / f"{NAME}.yaml").write_text(STUDY)
        yield folder


@contextmanager
def small(folder: Path) -> Iterator[None]:
    """A disk of its own for a folder, that is soon full."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=30m", "none", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def on_disk(folder: Path, fault: Fault) -> Iterator[None]:
    """The disk of the results."""
    if not fault.has_small_disk:
        yield
        return
    with small(folder / "results"):
        yield


def strike(name: str, seed: int, expected: Tables, *, in_bucket: bool) -> str:
    """Run one study with one fault; returns its row."""
    began, fault = time.monotonic(), FAULTS[name]
    with placed() as folder, on_disk(folder, fault), Network(folder) as network:
        storage = start_storage(network) if in_bucket else None
        os.environ.update(storage.variables if storage else {})
        attempt = Attempt(folder, network, storage, random.Random(seed))
        try:
            status = fault.happen(attempt)
            assert status == 0, (name, status, *attempt.told)
            found = read_results(attempt.place)
            assert len(found[0]) == NUM_TRIALS
            check_equal(found, expected)
            num_again, num_taken_up = attempt.count_again()
            assert fault.repeats or num_again <= CHECKPOINT_EVERY * num_taken_up, (num_again, num_taken_up)
        finally:
            attempt.end()
    silence = "nothing: the run goes on" if len(attempt.runs) == 1 else "nothing, but that the command is gone"
    sentence = attempt.said[0].replace(str(folder), "") if attempt.said else silence
    cells = [name, "a bucket" if in_bucket else "a folder", f"{attempt.struck_at:.0f}", f"{len(attempt.runs)}"]
    cells += [f"{num_again}", f"{time.monotonic() - began:.0f}", sentence]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended, it takes its machines along
    parser = argparse.ArgumentParser(prog="tests.chaos", description=tests.chaos.__doc__)
    parser.add_argument("--rounds", type=int, default=1, help="studies per fault")
    parser.add_argument("--only", choices=FAULTS, action="append")
    parser.add_argument("--first", type=int, default=0, help="number of the first round, which says the places")
    given = parser.parse_args()
    if (reason := why_not()) is not None:
        raise SystemExit(f"Skipped: {reason}.")
    with placed() as folder:
        expected = run_undisturbed(folder, NAME)
    print(f"Load {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores. Each row is complete and equal to the bit.")
    print(f"{HEAD}\n|{'---|' * HEAD.count(' | ')}---|", flush=True)
    num_failed = 0
    for seed in range(given.first, given.first + given.rounds):
        for index, (name, fault) in enumerate(FAULTS.items()):
            if given.only and name not in given.only:
                continue
            in_bucket = fault.in_bucket and (not fault.in_folder or (index + seed) % 2 == 0)
            try:
                print(strike(name, seed, expected, in_bucket=in_bucket), flush=True)
            except Exception:
                num_failed += 1
                print(f"| {name} | FAILED: see below |\n{traceback.format_exc()}", flush=True)
    raise SystemExit(min(num_failed, 1))


if __name__ == "__main__":
    main()
