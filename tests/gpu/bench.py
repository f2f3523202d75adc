"""bench: the benchmark's own timing of stacks on the card, with the floor and the launches of a step."""

import gc
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import torch

from models.benchmark.comparison import Floor, choose_chunk, count_steps, measure_floor
from models.benchmark.timing import IMAGE_SHAPE, Task, make_images, time_task
from models.numerics.machine import forget_peak_memory
from models.numerics.precision import has_precision
from models.settings import Precision, TrialSettings
from models.training.make_trainer import make_trainer
from models.training.state import init_state
from tests.gpu.parts import SECONDS, Report

STACKS = (64, 1, 8, 32, 128)
"""Trials trained together, the one that matters most first."""

MOST_LAUNCHES = 60
COLUMNS = {
    "precision": "Precision",
    "num_trials": "Trials",
    "ms_per_step": "ms a step",
    "seconds_per_trial_epoch": "s a trial-epoch",
    "trial_epochs_per_hour": "Trial-epochs an hour",
    "floor_ms": "Floor, ms",
    "fraction_of_floor": "Of the floor",
    "launches": "Launches a step",
    "memory_mb": "MB",
    "problem": "Problem",
}


def run_bench(device: str, out: Path, only: str, tell: Callable[[Report], None]) -> Report:
    """Time every row in this process, telling of each as soon as it is there."""
    report = Report(COLUMNS, notes=["VSC 784-400-200, batch 32, images the size of MNIST's."])
    started = time.perf_counter()
    is_small = device == "cpu"
    base = Task(loop="ours", device=device, latent_dim=200, batch_size=32, seconds=0.01 if is_small else 1.5)
    precisions: list[Precision] = ["float32"] if is_small else list_precisions(device)
    floors: dict[str, Floor] = {}
    for precision in precisions:
        for num_trials in (2, 1) if is_small else STACKS:
            task = replace(base, precision=precision, num_trials=num_trials)
            if time.perf_counter() - started > SECONDS["bench"]:
                report.problems.append(f"no time was left for {num_trials} trials in {precision}")
                continue
            if precision not in floors:
                floors[precision] = measure_floor(task)
                report.details["floors"] = [vars(floor) for floor in floors.values()]
            report.rows.append(time_row(task, floors[precision], report))
            tell(report)
    report.rows.append(time_plain(base))
    if not is_small:
        report.notes += judge(report.rows)
    return report


def list_precisions(device: str) -> list[Precision]:
    """Those that the card computes in."""
    return [p for p in get_args(Precision) if has_precision(p, torch.device(device))]


def time_row(task: Task, floor: Floor, report: Report) -> dict[str, Any]:
    """One stack, timed; its launches counted."""
    row: dict[str, Any] = {"precision": task.precision, "num_trials": task.num_trials}
    try:
        clear(task.device)
        timing = time_task(replace(task, chunk_steps=choose_chunk(task)))
        clear(task.device)
        row |= describe(task, timing.ms_per_step) | {
            "floor_ms": floor.ms_per_trial_step * task.num_trials,
            "fraction_of_floor": floor.ms_per_trial_step * task.num_trials / timing.ms_per_step,
            "memory_mb": timing.peak_memory_mb,
        }
        row["launches"] = count_launches(task) if task.device == "cuda" else None
    except Exception as error:  # the next row may well do
        row["problem"] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        report.problems.append(f"{task.num_trials} trials in {task.precision}: {row['problem']}")
    return row


def time_plain(base: Task) -> dict[str, Any]:
    """The plain PyTorch loop of one trial, for comparison."""
    clear(base.device)
    task = replace(base, loop="plain", chunk_steps=25 if base.device == "cuda" else 2)
    return {"precision": "plain loop, float32", "num_trials": 1} | describe(task, time_task(task).ms_per_step)


def describe(task: Task, ms_per_step: float) -> dict[str, float]:
    """What the time of a step comes to."""
    seconds = ms_per_step * count_steps(task.batch_size) / 1000 / task.num_trials
    return {
        "ms_per_step": ms_per_step,
        "seconds_per_trial_epoch": seconds,
        "trial_epochs_per_hour": 3600 / seconds,
    }


def clear(device: str) -> None:
    """Give back what the last row held."""
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
    forget_peak_memory(device)


def count_launches(task: Task) -> float:
    """Kernels and copies that a step launches, by torch's profiler: ten steps more launch so many more.

    So few steps fill no graph; a graph holds the same launches.
    """
    trainer = make_trainer(
        settings := TrialSettings(model="vsc", alpha=0.01, latent_dim=task.latent_dim, precision=task.precision),
        IMAGE_SHAPE,
        latent_dim=task.latent_dim,
        capacity=task.num_trials,
        device=task.device,
    )
    trainer.add(settings, init_state(settings, IMAGE_SHAPE, task.device).tensors(), epoch=0, step=0)
    images = make_images(15 * task.batch_size).unsqueeze(1).to(task.device)
    parts = (images[: 5 * task.batch_size], images)
    for part in (*parts, *parts):
        trainer.fit_epoch(part)  # what is compiled is compiled now
    counts = []
    for part in parts:
        torch.cuda.synchronize()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
            trainer.fit_epoch(part)
            torch.cuda.synchronize()
        on_card = [e for e in profile.events() if e.device_type == torch.autograd.DeviceType.CUDA]
        counts.append(sum(not e.is_user_annotation for e in on_card))
    return (counts[1] - counts[0]) / 10


def judge(rows: list[dict[str, Any]]) -> list[str]:
    """The goals of issue 16, each with what it came to."""
    by_key = {(row["precision"], row["num_trials"]): row for row in rows}
    one, many = by_key.get(("float32", 1), {}), by_key.get(("float32", 64), {})
    goals = [
        ("one trial, s an epoch", one.get("seconds_per_trial_epoch"), 0.25, False),
        ("64 trials, s a trial-epoch", many.get("seconds_per_trial_epoch"), 0.04, False),
        ("64 trials, share of the floor's speed", many.get("fraction_of_floor"), 0.5, True),
        ("64 trials, launches a step", many.get("launches"), MOST_LAUNCHES, False),
    ]
    return [judge_goal(*goal) for goal in goals]


def judge_goal(name: str, value: float | None, goal: float, is_least: bool) -> str:
    """One line: met, missed or not measured."""
    bound = f"{'at least' if is_least else 'at most'} {goal:g}"
    if value is None:
        return f"- {name}: {bound}, not measured."
    is_met = value >= goal if is_least else value <= goal
    return f"- {name}: {value:.3g} ({bound}): {'met' if is_met else 'MISSED'}."
