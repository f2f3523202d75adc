"""What may happen to a study. Each fault starts the study, strikes, and returns the exit status of its last run."""

import re
import shlex
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.chaos.attempt import STATE, Attempt

REPOSITORY = Path(__file__).parents[2]
AWAY_SECONDS = 60.0  # of the bucket
CUT_SECONDS = 45.0  # of a node that comes back: longer than Ray waits for it


@dataclass(frozen=True)
class Fault:
    """A fault, and what is peculiar to it."""

    happen: Callable[[Attempt], int]
    in_folder: bool = True  # it can happen to a study whose results are in a folder
    in_bucket: bool = True
    repeats: bool = False  # what is lost is known to be lost only after a while, or is more than since a checkpoint
    has_small_disk: bool = False


def kill_driver(attempt: Attempt) -> int:
    attempt.strike_and_finish(attempt.kill_run)
    return attempt.go_on()


def end_driver(attempt: Attempt) -> int:
    assert attempt.strike_and_finish(attempt.end_run) == 128 + signal.SIGTERM
    return attempt.go_on()


def kill_worker(attempt: Attempt) -> int:
    def strike() -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            for process in attempt.node.list_processes():
                with suppress(psutil.NoSuchProcess):
                    if "StudyTrainable" in " ".join(process.cmdline()):
                        process.kill()
                        return
        raise AssertionError("no trial runs there")

    return attempt.strike_and_finish(strike)


def lose_node(attempt: Attempt) -> int:
    return attempt.strike_and_finish(attempt.node.kill)


def end_node(attempt: Attempt) -> int:
    return attempt.strike_and_finish(lambda: attempt.node.send(signal.SIGTERM))


def cut_node_off(attempt: Attempt) -> int:
    return attempt.strike_and_finish(attempt.node.cut_off)


def cut_node_off_for_a_while(attempt: Attempt) -> int:
    def strike() -> None:
        attempt.node.cut_off()
        time.sleep(CUT_SECONDS)
        attempt.node.bring_back()

    return attempt.strike_and_finish(strike)


def lose_head(attempt: Attempt) -> int:
    """The driver lives, on a machine whose cluster has no head any more."""

    def strike() -> None:
        for process in attempt.cluster.head.list_processes():
            if "gcs_server" in process.name():
                process.kill()

    assert attempt.strike_and_finish(strike) == 2
    attempt.start_cluster("second")
    return attempt.go_on()


def lose_head_of_job(attempt: Attempt) -> int:
    """The head's machine is gone, and the job's driver with it; its nodes train on for as long as Ray lets them."""
    laptop = attempt.network.add("laptop")
    run = attempt.submit(laptop)
    attempt.wait_to_strike(run)
    attempt.cluster.head.kill()
    attempt.start_cluster("second")
    status = attempt.finish(attempt.submit(laptop))
    assert attempt.finish(run) == 2
    attempt.said.reverse()  # that of the one who followed the first job
    return status


def lose_tracking(attempt: Attempt) -> int:
    attempt.environment["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"
    return attempt.strike_and_finish(lambda: None)


def lose_storage(attempt: Attempt) -> int:
    """The bucket's server is there, and says nothing for a minute."""
    assert attempt.storage is not None
    machine = attempt.storage.machine

    def strike() -> None:
        machine.send(signal.SIGSTOP)
        time.sleep(AWAY_SECONDS)
        machine.send(signal.SIGCONT)

    return attempt.strike_and_finish(strike)


def fill_disk(attempt: Attempt) -> int:
    results = Path(attempt.results)

    def strike() -> None:
        with suppress(OSError):
            (results / "filler").write_bytes(b"x" * shutil.disk_usage(results).free)

    assert attempt.strike_and_finish(strike) == 2, attempt.told
    (results / "filler").unlink()
    return attempt.go_on()


def damage_checkpoint(attempt: Attempt) -> int:
    attempt.strike_and_finish(attempt.kill_run)
    states = attempt.read(STATE)
    name = max(states, key=lambda name: int(re.findall(r"\d+", name)[-1]))
    content = bytearray(states[name])
    content[len(content) // 2] ^= 0xFF
    attempt.write(name, bytes(content[: -len(content) // 4]))
    return attempt.go_on()


def join_other_code(attempt: Attempt) -> int:
    clone = attempt.folder / "clone"
    mounts = []
    for name in ("harness", "models", "analysis"):
        shutil.copytree(REPOSITORY / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
        mounts.append(f"mount --bind {shlex.quote(str(clone / name))} {shlex.quote(str(REPOSITORY / name))}")
    source = clone / "models" / "settings.py"
    source.write_text(source.read_text() + "# other code\n")

    def strike() -> None:
        attempt.cluster.join(*mounts)

    return attempt.strike_and_finish(strike)


FAULTS = {
    "driver killed": Fault(kill_driver),
    "driver asked to end (TERM)": Fault(end_driver),
    "process of a trial killed": Fault(kill_worker),
    "node lost": Fault(lose_node),
    "node asked to end (TERM)": Fault(end_node),
    "node cut off": Fault(cut_node_off, repeats=True),
    "node cut off for 45 s": Fault(cut_node_off_for_a_while, repeats=True),
    "head lost, the driver lives": Fault(lose_head, repeats=True),
    "head lost with its job": Fault(lose_head_of_job, repeats=True),
    "tracking server down": Fault(lose_tracking),
    "storage down for 60 s": Fault(lose_storage, in_folder=False),
    "disk full": Fault(fill_disk, in_bucket=False, has_small_disk=True),
    "checkpoint damaged": Fault(damage_checkpoint, repeats=True),
    "node of other code joins": Fault(join_other_code),
}
