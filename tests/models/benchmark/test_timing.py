"""What is timed, alone and in processes at once, and how it fails."""

import io
import json
import sys
import weakref
from dataclasses import replace
from typing import Any

import pytest
import torch

from models.benchmark import processes
from models.benchmark.processes import TaskFailedError, time_processes
from models.benchmark.timing import Task, Timing, time_task
from models.numerics.machine import read_peak_memory
from models.training.state import TrainState, init_state

TINY = Task(loop="ours", device="cpu", latent_dim=3, batch_size=16, seconds=1e-3, chunk_steps=2, num_images=64)


@pytest.mark.parametrize(
    "task",
    [
        TINY,
        replace(TINY, num_trials=3),
        replace(TINY, loop="plain"),
        replace(TINY, epochs=2),
        replace(TINY, loop="plain", epochs=2),
        replace(TINY, chunk_steps=25, num_images=400),  # a graph's worth
    ],
    ids=["one trial", "fused", "plain", "trained", "plain, trained", "whole graphs"],
)
def test_a_task_is_timed_over_at_least_three_chunks(task: Task) -> None:
    warm: list[bool] = []
    timing = time_task(task, lambda: warm.append(True))
    assert warm == [True]
    assert timing.num_steps >= 3 * task.chunk_steps
    assert timing.num_steps % task.chunk_steps == 0
    assert 0 < timing.ms_per_step < 1000
    assert timing.num_threads == (torch.get_num_threads() if task.loop == "plain" else 1)
    assert timing.has_torchvision is (True if task.loop == "plain" else None)


def test_timing_goes_on_for_as_long_as_asked() -> None:
    timing = time_task(replace(TINY, seconds=0.2))
    assert timing.num_steps * timing.ms_per_step > 100


def test_peak_memory_counts_what_was_in_use_once() -> None:
    before = read_peak_memory("cpu")
    large = torch.ones(before // 4)  # as many bytes again
    peak = read_peak_memory("cpu")
    assert peak > max(before, large.nbytes)
    del large
    assert read_peak_memory("cpu") > 0.99 * peak  # the system counts in batches of pages


def test_one_trials_state_is_in_memory_besides_the_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the peak of a stack's memory would be that of all of its trials' states, too."""
    states: list[weakref.ref[TrainState]] = []
    num_alive = []

    def count(*args: Any) -> TrainState:
        num_alive.append(sum(state() is not None for state in states))
        state = init_state(*args)
        states.append(weakref.ref(state))
        return state

    monkeypatch.setattr("models.benchmark.timing.init_state", count)
    time_task(replace(TINY, num_trials=4))
    assert num_alive == [0, 0, 0, 0]


def test_processes_are_timed_at_once() -> None:
    timings = time_processes(replace(TINY, loop="plain", num_threads=1), 2)
    assert [timing.num_threads for timing in timings] == [1, 1]
    assert all(timing.ms_per_step > 0 and timing.peak_memory_mb > 50 for timing in timings)


def test_what_fails_in_a_process_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TaskFailedError, match=r"^ValueError: latent_dim: 0 is too small"):
        time_processes(replace(TINY, latent_dim=0), 1)
    assert "Traceback" in capfd.readouterr().err


def test_a_process_that_dies_without_a_word_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(TaskFailedError, match="ended from outside"):
        time_processes(TINY, 2)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_want_of_memory_is_told_in_three_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    def fail(*_: object) -> Timing:
        raise error

    monkeypatch.setattr(processes, "time_task", fail)
    replies = io.StringIO()
    processes.work(TINY, io.StringIO(), replies)
    assert json.loads(replies.getvalue()) == "out of memory"
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_one_trial_of_ours_takes_at_most_half_the_time_of_the_plain_loop() -> None:
    task = Task(loop="plain", device="cpu", latent_dim=200, batch_size=32, seconds=8.0, num_threads=1)
    (plain,), (ours,) = time_processes(task, 1), time_processes(replace(task, loop="ours"), 1)
    print(f"\none step on one thread: plain loop {plain.ms_per_step:.2f} ms, ours {ours.ms_per_step:.2f} ms")
    assert ours.ms_per_step <= plain.ms_per_step / 2
