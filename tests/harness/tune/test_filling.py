"""Slots for trials that fall free, or that a machine brings when it joins, are used again."""

import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from harness.tune.schedulers import make_scheduler
from tests.e2e.conftest import start_command
from tests.harness.cluster.heads import Head, wait_until
from tests.harness.tune.test_schedulers import make_earlier


@dataclass(eq=False)
class Pending:
    """As Tune's trial, where its scheduler looks."""

    trial_id: str
    status: str = "PENDING"
    config: dict[str, str] = field(default_factory=lambda: {"trial_id": "0" * 16})

    def is_finished(self) -> bool:
        return self.status in ("TERMINATED", "ERROR")


def make_controller(trials: list[Pending], starting: set[str]) -> Any:
    """As Tune's: each pending trial has asked for a process; starting: those whose process has got its slot."""
    return SimpleNamespace(
        _trial_to_actor={trial: trial.trial_id for trial in trials if trial.status == "PENDING"},
        _actor_manager=SimpleNamespace(is_actor_started=lambda process: process in starting),
    )


@pytest.mark.parametrize("name", ["fifo", "asha", "median", "hyperband"])
@pytest.mark.parametrize(
    ("starting", "chosen"),
    [("", "b"), ("b", "c"), ("c", "b"), ("bc", "d"), ("bcd", "d")],
)
def test_a_process_that_falls_free_goes_to_the_oldest_trial_that_has_no_slot(
    name: str, starting: str, chosen: str
) -> None:
    scheduler: Any = make_scheduler(make_earlier(name, [-1.0])[0], [], {})
    trials = [Pending("a", "RUNNING"), Pending("b"), Pending("c"), Pending("d")]
    for trial in trials:
        scheduler.on_trial_add(None, trial)
    assert scheduler.choose_trial_to_run(make_controller(trials, starting)).trial_id == chosen


def test_trials_that_have_ended_are_forgotten_and_one_that_runs_again_keeps_its_turn() -> None:
    scheduler: Any = make_scheduler(make_earlier("fifo", [-1.0])[0], [], {})
    trials = [Pending(name, "RUNNING") for name in "abc"]
    for trial in trials:
        scheduler.on_trial_add(None, trial)
    assert scheduler.choose_trial_to_run(make_controller(trials, set())) is None
    trials[0].status, trials[1].status, trials[2].status = "TERMINATED", "PENDING", "PENDING"
    scheduler.on_trial_add(None, trials[1])  # as Tune does after its process has died
    assert scheduler.choose_trial_to_run(make_controller(trials, set())) is trials[1]
    assert len(scheduler._unfinished) == 2


class Controller(SimpleNamespace):
    """As Tune's, where a scheduler sends trials."""

    def _set_trial_status(self, trial: Pending, status: str) -> None:
        trial.status = status

    def stop_trial(self, trial: Pending) -> None:
        trial.status = "TERMINATED"


@pytest.mark.parametrize("name", ["fifo", "asha", "median", "hyperband"])
def test_a_trial_that_waits_runs_once_nothing_else_does_and_nothing_beside_it(name: str) -> None:
    scheduler: Any = make_scheduler(make_earlier(name, [-1.0])[0], [], {})
    verdicts = iter(["go on", "wait", "wait", "give up"])
    alone: list[bool] = []

    def judge(trial: Pending, *, is_alone: bool, num_others: int) -> str:
        alone.append(is_alone)
        return next(verdicts)

    scheduler.judge = SimpleNamespace(judge=judge)
    told: list[int] = []
    scheduler.on_wait = lambda: told.append(scheduler.num_waiting)
    trials = [Pending(letter, "RUNNING") for letter in "abcd"]
    for trial in trials:
        scheduler.on_trial_add(Controller(), trial)  # new ones are not judged
    for trial in trials[:3]:  # as Tune does after their processes have died
        trial.status = "PENDING"
        scheduler.on_trial_add(Controller(), trial)
    assert [trial.status for trial in trials] == ["PENDING", "PAUSED", "PAUSED", "RUNNING"]
    assert told == [1, 2]
    assert scheduler.choose_trial_to_run(make_controller(trials, set())) is trials[0]
    trials[0].status = "TERMINATED"
    assert scheduler.choose_trial_to_run(make_controller(trials, set())) is None, "the last one runs"
    assert not scheduler.is_full
    trials[3].status = "TERMINATED"
    assert scheduler.choose_trial_to_run(make_controller(trials, set())) is trials[1]
    assert scheduler.is_full
    trials[1].status = "RUNNING"
    assert scheduler.choose_trial_to_run(make_controller(trials, set())) is None, "one at a time"
    trials[1].status = "PENDING"
    scheduler.on_trial_add(Controller(), trials[1])
    assert (trials[1].status, alone) == ("TERMINATED", [False, False, False, True])
    assert scheduler.choose_trial_to_run(make_controller(trials, set())) is trials[2]


def test_with_another_version_of_ray_the_oldest_runs_first() -> None:
    scheduler: Any = make_scheduler(make_earlier("fifo", [-1.0])[0], [], {})
    trials = [Pending("a"), Pending("b")]
    for trial in trials:
        scheduler.on_trial_add(None, trial)
    assert scheduler.choose_trial_to_run(SimpleNamespace()) is trials[0]


STEADY_SECONDS = 8.0

SHORT = f"""\
name: short
dataset: digits
defaults: {{hidden: [16], batch_size: 128, epochs: 60}}
space:
  - {{model: vae, latent_dim: 2}}
seeds: {list(range(900))}
evaluate: [elbo]
figures: []
"""


def list_processes(node: int) -> set[int]:
    """The processes of a machine that are at work on a trial just now. node: the process that started the machine."""
    found = set()
    for process in psutil.Process(node).children(recursive=True):
        try:
            if "StudyTrainable" in " ".join(process.cmdline()):
                found.add(process.pid)
        except psutil.NoSuchProcess:
            continue
    return found


def count_done(folder: Path) -> int:
    return len(list(folder.glob("results/short/trials/*/result-*.json")))


class Trains:
    """Whether a machine trains: the process of a trial lives on only if it is given others."""

    def __init__(self, node: int, but: int = 0) -> None:
        self._node, self._but = node, but
        self._seen: dict[int, float] = {}

    def __call__(self) -> bool:
        now = time.monotonic()
        busy = list_processes(self._node) - {self._but}
        return any(now - self._seen.setdefault(pid, now) > STEADY_SECONDS for pid in busy)


@pytest.mark.slow
def test_slots_that_fall_free_or_join_are_used_within_half_a_minute(tmp_path: Path) -> None:
    with Head(num_cpus=1) as head:
        (tmp_path / "short.yaml").write_text(SHORT)
        process = start_command(tmp_path, head.client, "run", "short.yaml", "--address", head.address)
        wait_until(lambda: count_done(tmp_path) >= 3, 120, process)
        node = head.join(num_cpus=1)
        head.wait_for_nodes(2)
        joined = wait_until(Trains(node.pid), 30 + STEADY_SECONDS, process) - STEADY_SECONDS
        wait_until(lambda: bool(list_processes(node.pid)), 30, process)
        victim = list_processes(node.pid).pop()
        psutil.Process(victim).kill()
        again = wait_until(Trains(node.pid, but=victim), 30 + STEADY_SECONDS, process) - STEADY_SECONDS
        process.send_signal(signal.SIGINT)
        told, said = process.communicate(timeout=60)
    print(f"a slot was used {joined:.0f} s after its machine had joined, and {again:.0f} s after its process died")
    assert (process.returncode, said) == (130, ""), told
