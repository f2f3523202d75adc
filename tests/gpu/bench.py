"""bench: the benchmark's own timing of stacks on the card, with the floor and the launches of a step."""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import torch

from models.benchmark.comparison import Floor, choose_chunk, count_steps, measure_floor
from models.benchmark.floor import synchronize
from models.benchmark.subjects import SUBJECTS
from models.benchmark.timing import Task, make_images, time_task
from models.choices import Precision
from models.numerics import precision as numerics
from models.numerics.machine import forget_peak_memory
from models.numerics.precision import has_precision
from models.training.make_trainer import make_trainer
from models.training.stacked import cuda_graph
from models.training.state import init_state
from models.training.trainer import raise_failure
from tests.gpu.parts import SECONDS, Report

STACKS = (64, 1, 8, 32, 128)
"""Trials trained together, the one that matters most first."""

OTHERS = (("celeba", 1), ("conv", 1), ("celeba", 8), ("conv", 8))
"""Other models, and how many trials of each. A convolutional one is trained by autograd, one after another."""

FEW_IMAGES = 12_000
"""Images that the others are timed on, as so many make the longest chunk."""

SHORT_EPOCH = 47
"""Steps of an epoch of the quickstart, which are no whole number of graphs."""

MOST_LAUNCHES = 60
COLUMNS = {
    "subject": "Model",
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
    report = Report(COLUMNS, notes=["Batches of 32.", *(f"{name}: {s.words}." for name, s in SUBJECTS.items())])
    started = time.perf_counter()
    is_small = device == "cpu"
    base = Task(loop="ours", device=device, latent_dim=200, batch_size=32, seconds=0.01 if is_small else 1.5)
    floors: dict[tuple[str, str], Floor] = {}
    for task in list_small_tasks(base) if is_small else list_tasks(base):
        if time.perf_counter() - started > SECONDS["bench"]:
            report.problems.append(f"no time was left for {name_task(task)}")
            continue
        report.rows.append(time_row(task, floors, report))
        tell(report)
        if task.subject == "conv" and (is_small or task.precision != "float32"):
            with channels_first():
                report.rows.append(time_row(task, floors, report) | {"subject": "conv, channels first"})
            tell(report)
    if not is_small:
        report.notes += judge(report.rows)
        tell(report)
    report.rows.append(time_plain(base, report))
    return report


def list_tasks(base: Task) -> list[Task]:
    """List what is timed on a card, in order of worth."""
    precisions = list_precisions(base.device)
    others = [
        replace(base, subject=name, latent_dim=SUBJECTS[name].latent_dim, num_trials=num, num_images=FEW_IMAGES)
        for name, num in OTHERS
    ]
    others += [replace(others[1], precision=p) for p in precisions if p != "float32"]
    stacks = [replace(base, precision=p, num_trials=num) for p in precisions for num in STACKS]
    return [*stacks[: len(STACKS)], shorten(replace(base, num_trials=8)), *others, *stacks[len(STACKS) :]]


def list_small_tasks(base: Task) -> list[Task]:
    """List as little as a test can wait for."""
    small = replace(base, num_images=32)
    celeba, conv = (replace(small, subject=name, latent_dim=8) for name in ("celeba", "conv"))
    return [replace(base, num_trials=2), base, shorten(base), celeba, conv]


def shorten(task: Task) -> Task:
    """The same with epochs as short as the quickstart's."""
    return replace(task, num_images=SHORT_EPOCH * task.batch_size)


def is_short(task: Task) -> bool:
    """Whether its epochs are as short as the quickstart's: they are timed whole."""
    return task.num_images == SHORT_EPOCH * task.batch_size


@contextmanager
def channels_first() -> Iterator[None]:
    """Let maps lie as in float32, to see what the other layout gains."""
    before, numerics.CHANNELS_LAST = numerics.CHANNELS_LAST, ()
    try:
        yield
    finally:
        numerics.CHANNELS_LAST = before


def name_task(task: Task) -> str:
    """What a reader calls a row."""
    return f"{task.num_trials} trials of {task.subject} in {task.precision}"


def list_precisions(device: str) -> list[Precision]:
    """Those that the card computes in."""
    return [p for p in get_args(Precision) if has_precision(p, torch.device(device))]


@contextmanager
def noting(row: dict[str, Any], name: str, report: Report) -> Iterator[None]:
    """Write what breaks a row into it and the report: what was measured of it stays, and the next row may well do."""
    try:
        yield
    except Exception as error:
        row["problem"] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        report.problems.append(f"{name}: {row['problem']}")


def time_row(task: Task, floors: dict[tuple[str, str], Floor], report: Report) -> dict[str, Any]:
    """One stack, timed; its launches counted. floors: those measured so far, by model and precision."""
    subject = f"{task.subject}, epochs of {SHORT_EPOCH} steps" if is_short(task) else task.subject
    row: dict[str, Any] = {"subject": subject, "precision": task.precision, "num_trials": task.num_trials}
    with noting(row, name_task(task), report):
        clear(task.device)
        timing = time_task(replace(task, chunk_steps=SHORT_EPOCH if is_short(task) else choose_chunk(task)))
        clear(task.device)
        row |= describe(task, timing.ms_per_step) | {"memory_mb": timing.peak_memory_mb}
        key = (task.subject, task.precision)
        if key not in floors:
            floors[key] = measure_floor(task)
            report.details["floors"] = [vars(floor) for floor in floors.values()]
        floor_ms = floors[key].ms_per_trial_step * task.num_trials
        row |= {"floor_ms": floor_ms, "fraction_of_floor": floor_ms / timing.ms_per_step}
        row["launches"] = count_launches(task) if task.device == "cuda" else None
    tell_compiled(report)
    return row


def tell_compiled(report: Report) -> None:
    """Say what came of compiling for the card: what could not be compiled runs all the same, and is slow."""
    report.details["compiled"] = dict(cuda_graph.OUTCOMES)
    problems = [f"not compiled, and so slow: {name}: {why}" for name, why in cuda_graph.find_failures().items()]
    report.problems += [problem for problem in problems if problem not in report.problems]


def time_plain(base: Task, report: Report) -> dict[str, Any]:
    """The plain PyTorch loop of one trial, for comparison."""
    row: dict[str, Any] = {"subject": "mnist", "precision": "plain loop, float32", "num_trials": 1}
    with noting(row, "the plain loop", report):
        clear(base.device)
        task = replace(base, loop="plain", chunk_steps=25 if base.device == "cuda" else 2)
        row |= describe(task, time_task(task).ms_per_step)
    return row


def describe(task: Task, ms_per_step: float) -> dict[str, float]:
    """What the time of a step comes to."""
    num_steps = count_steps(task.batch_size, SUBJECTS[task.subject].num_images)
    seconds = ms_per_step * num_steps / 1000 / task.num_trials
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

    Steps that were recorded are replayed: a graph holds the same launches.

    Raises:
        RuntimeError: the profiler did not see more launches of more steps.
    """
    subject = SUBJECTS[task.subject]
    trainer = make_trainer(
        settings := subject.make_settings(latent_dim=task.latent_dim, precision=task.precision),
        subject.image_shape,
        latent_dim=task.latent_dim,
        capacity=task.num_trials,
        device=task.device,
    )
    for _ in range(task.num_trials):
        trainer.add(settings, init_state(settings, subject.image_shape, task.device).tensors(), epoch=0, step=0)
    images = make_images(15 * task.batch_size, subject.image_shape).to(task.device)
    parts = (images[: 5 * task.batch_size].clone(), images)  # two addresses, as what is recorded reads one
    for part in (*parts, *parts):
        raise_failure(trainer.fit_epoch(part))  # what is compiled is compiled now
    counts = []
    for part in parts:
        synchronize(images.device)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
            trainer.fit_epoch(part)
            synchronize(images.device)
        on_card = [e for e in profile.events() if e.device_type == torch.autograd.DeviceType.CUDA]
        counts.append(sum(not e.is_user_annotation for e in on_card))
    if not counts[1] > counts[0] > 0:
        raise RuntimeError(f"the profiler saw {counts[0]} launches in 5 steps and {counts[1]} in 15")
    return (counts[1] - counts[0]) / 10


def judge(rows: list[dict[str, Any]]) -> list[str]:
    """The goals of issue 16, each with what it came to."""
    by_key = {(row["precision"], row["num_trials"]): row for row in rows if row["subject"] == "mnist"}
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
