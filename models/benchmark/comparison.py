"""The rows of the benchmark: each is timed in fresh processes and compared with its floor."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from math import prod
from pathlib import Path
from typing import Any

import torch

from models.benchmark.floor import (
    BIG_COPY,
    Rates,
    compute_floor,
    count_work,
    list_layers,
    measure_bandwidth,
    measure_products,
)
from models.benchmark.options import Options
from models.benchmark.processes import OUT_OF_MEMORY, TaskFailedError, time_processes
from models.benchmark.subjects import ALPHA, MNIST, SUBJECTS
from models.benchmark.timing import NUM_IMAGES, Task, Timing
from models.numerics.machine import count_cores, describe_hardware
from models.training.stacked.cuda_graph import GRAPH_STEPS

CPU_FUSED = (8,)  # sizes of stacks
GPU_FUSED = (8, 32, 64, 128)
TIME_SLICED = 8  # processes that share the GPU
AFTER = ", after "  # stands before the epochs in the name of a row


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the benchmark: a task, and the number of processes that it is timed in at once."""

    name: str
    task: Task
    num_processes: int = 1


@dataclass(frozen=True, kw_only=True)
class Result:
    """The result of a row. Numbers are None if the row failed, for the reason in `problem`."""

    name: str
    device: str
    loop: str
    precision: str
    num_trials: int  # in all processes of the row
    num_processes: int
    num_threads_per_process: int | None = None
    epochs_before: int = 0  # trained before the timing
    num_steps_timed_per_process: int | None = None
    has_torchvision: bool | None = None  # for ToTensor; None: our trainer, which needs none
    ms_per_step: float | None = None  # in which every trial takes one
    trial_epochs_per_hour: float | None = None
    ratio_to_plain_loop: float | None = None  # of trial-epochs per hour, to the device's fastest plain loop
    ratio_to_start: float | None = None  # of ms_per_step, to that of the same row at random parameters
    peak_memory_mb_per_process: float | None = None
    floor_ms_per_step: float | None = None
    floor_set_by: str | None = None
    fraction_of_floor: float | None = None  # floor / measured
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class Floor:
    """The least time of a trial's step on one core or GPU, and the numbers it is computed from."""

    device: str
    precision: str
    mb_per_trial_step: float
    mflop_per_trial_step: float
    copied_mb: float  # read and written, to find the bandwidth
    bandwidth_gb_per_second: float
    products_gflop_per_second: float
    ms_per_trial_step: float
    set_by: str  # bytes or operations


def list_rows(options: Options, num_cores: int) -> list[Row]:
    """List all rows, the plain loop of each device first."""
    rows: list[Row] = []
    for device in options.list_devices():
        task = Task(
            loop="plain",
            device=device,
            latent_dim=options.latent_dim,
            batch_size=options.batch_size,
            seconds=options.seconds,
            images=options.images,
        )
        plain = list_plain_rows(task)
        ours = [
            list_our_rows(replace(task, loop="ours", precision=precision), num_cores)
            for place, precision in options.list_precisions()
            if place == device
        ]
        rows += [*plain, *(row for each in ours for row in each)]
        if options.epochs:  # the last plain row (on a CPU: 1 thread), and one trial of ours
            rows += [train_before(row, options.epochs) for row in (plain[-1], *(each[0] for each in ours))]
    return rows


def train_before(row: Row, epochs: int) -> Row:
    """Return the row for a model that has trained for some epochs before."""
    name = f"{row.name}{AFTER}{epochs} epochs"
    return replace(row, name=name, task=replace(row.task, epochs=epochs))


def list_plain_rows(task: Task) -> list[Row]:
    """List the plain loop's rows: with torch's default threads and, on a CPU, with one thread."""
    if task.device != "cpu":
        return [Row(name="GPU: plain loop", task=task)]
    return [
        Row(name=f"CPU: plain loop, torch's {torch.get_num_threads()} threads", task=task),
        Row(name="CPU: plain loop, 1 thread", task=replace(task, num_threads=1)),
    ]


def list_our_rows(task: Task, num_cores: int) -> list[Row]:
    """List our trainer's rows on the task's device, in the task's precision."""
    task = replace(task, chunk_steps=choose_chunk(task))
    suffix = "" if task.precision == "float32" else f", {task.precision}"
    if task.device == "cpu":
        one = Row(name=f"CPU: ours, one trial{suffix}", task=task)
        several = Row(name=f"CPU: ours, {num_cores} at once{suffix}", task=task, num_processes=num_cores)
    else:
        one = Row(name=f"GPU: ours, one trial (fused K = 1){suffix}", task=task)
        name = f"GPU: ours, {TIME_SLICED} processes time-sliced{suffix}"
        several = Row(name=name, task=task, num_processes=TIME_SLICED)
    prefix = "CPU" if task.device == "cpu" else "GPU"
    fused = [replace(task, num_trials=k) for k in (CPU_FUSED if task.device == "cpu" else GPU_FUSED)]
    rows = [
        Row(
            name=f"{prefix}: ours, fused K = {each.num_trials}{suffix}",
            task=replace(each, chunk_steps=choose_chunk(each)),
        )
        for each in fused
    ]
    return [one, several, *rows]


def choose_chunk(task: Task) -> int:
    """Choose the steps in one call of our trainer, so that a call's fixed cost weighs as little as in an epoch."""
    most = task.num_images // task.batch_size
    if task.device == "cpu":
        return min(25, most)
    # Whole graphs; if steps are long, a fifth of an epoch of MNIST.
    wanted = most if task.num_trials <= 8 else min(375, most)
    return max(wanted - wanted % GRAPH_STEPS, min(wanted, GRAPH_STEPS))


def compare(options: Options, *, command: str, on_progress: Callable[[str], None]) -> dict[str, Any]:
    """Time every row; return plain JSON values, with a list of results under `rows`.

    command: what the user typed. on_progress: called with a line of text before each row.
    """
    num_cores = count_cores()
    rows = list_rows(options, num_cores)
    results: list[Result] = []
    floors: dict[tuple[str, str, int], Floor] = {}
    for number, row in enumerate(rows, 1):
        on_progress(f"{number} of {len(rows)}: {row.name}")
        key = (row.task.device, row.task.precision, row.task.num_trials if row.task.device == "cpu" else 0)
        if key not in floors:
            floors[key] = measure_floor(row.task)
        results.append(time_row(row, floors[key]))
    results = add_ratios_to_start(add_ratios(results))
    layers = list_layers(MNIST.make_settings(latent_dim=options.latent_dim), MNIST.image_shape)
    (num_hidden,) = MNIST.settings["hidden"]
    return {
        "command": command,
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "machine": describe_hardware(with_gpu="cuda" in options.list_devices()),
        "model": {
            "name": "vsc",
            "num_pixels": prod(MNIST.image_shape),
            "num_hidden": num_hidden,
            "latent_dim": options.latent_dim,
            "alpha": ALPHA,
            "num_parameters": count_work(layers, options.batch_size, "float32").num_parameters,
            "batch_size": options.batch_size,
            "num_images": NUM_IMAGES,
            "num_steps_per_epoch": count_steps(options.batch_size),
            "images": "generated" if options.images is None else Path(options.images).stem,
        },
        "seconds_per_row": options.seconds,
        "floors": [asdict(floor) for floor in floors.values()],
        "rows": [asdict(result) for result in results],
        "notes": list_notes(results),
    }


def time_row(row: Row, floor: Floor) -> Result:
    """Time a row in fresh processes."""
    task = row.task
    result = Result(
        name=row.name,
        device=task.device,
        loop=task.loop,
        precision=task.precision,
        epochs_before=task.epochs,
        num_trials=task.num_trials * row.num_processes,
        num_processes=row.num_processes,
    )
    try:
        timings = time_processes(task, row.num_processes)
    except TaskFailedError as error:
        return replace(result, problem=str(error))
    counts = {"num_cores": count_cores(), "num_steps_per_epoch": count_steps(task.batch_size)}
    return complete(result, timings, floor, **counts)


def complete(
    result: Result,
    timings: list[Timing],
    floor: Floor,
    *,
    num_cores: int,
    num_steps_per_epoch: int,
) -> Result:
    """Fill in a result's numbers. timings: those of its processes, which ran at once. num_cores: of the machine."""
    # Rates of processes add up; the mean time would be wrong for processes of unequal speed.
    ms_per_step = len(timings) / sum(1 / timing.ms_per_step for timing in timings)
    per_hour = result.num_trials * 3.6e6 / (ms_per_step * num_steps_per_epoch)
    num_threads = timings[0].num_threads
    # The floor of a CPU counts the cores that the row can use; a GPU counts as one.
    num_used = min(num_threads * result.num_processes, num_cores) if result.device == "cpu" else 1
    floor_ms = floor.ms_per_trial_step * result.num_trials / num_used
    return replace(
        result,
        num_threads_per_process=num_threads,
        num_steps_timed_per_process=min(timing.num_steps for timing in timings),
        has_torchvision=timings[0].has_torchvision,
        ms_per_step=ms_per_step,
        trial_epochs_per_hour=per_hour,
        peak_memory_mb_per_process=max(timing.peak_memory_mb for timing in timings),
        floor_ms_per_step=floor_ms,
        floor_set_by=floor.set_by,
        fraction_of_floor=floor_ms / ms_per_step,
    )


def add_ratios(results: list[Result]) -> list[Result]:
    """Add to each result the ratio to the fastest plain loop of its device.

    Which plain loop is the fastest depends on the machine: on a busy one, many threads wait for each other.
    """
    plain: dict[tuple[str, int], float] = {}
    for result in results:
        key = (result.device, result.epochs_before)
        if result.loop == "plain" and result.trial_epochs_per_hour is not None:
            plain[key] = max(result.trial_epochs_per_hour, plain.get(key, 0.0))
    return [
        replace(result, ratio_to_plain_loop=result.trial_epochs_per_hour / plain[key])
        if result.trial_epochs_per_hour is not None and (key := (result.device, result.epochs_before)) in plain
        else result
        for result in results
    ]


def add_ratios_to_start(results: list[Result]) -> list[Result]:
    """Add to each row of trained states the ratio to the row of the same name at random parameters."""
    at_start = {result.name: result.ms_per_step for result in results if not result.epochs_before}
    set_against = []
    for result in results:
        start = at_start.get(result.name.partition(AFTER)[0])
        if result.epochs_before and start is not None and result.ms_per_step is not None:
            result = replace(result, ratio_to_start=result.ms_per_step / start)  # noqa: PLW2901
        set_against.append(result)
    return set_against


def measure_floor(task: Task) -> Floor:
    """Measure the floor of a task's trials, in this process, on the task's device; on one thread of a CPU."""
    subject = SUBJECTS[task.subject]
    layers = list_layers(subject.make_settings(latent_dim=task.latent_dim), subject.image_shape)
    work = count_work(layers, task.batch_size, task.precision)
    num_bytes = work.state_bytes * task.num_trials if task.device == "cpu" else BIG_COPY
    seconds = min(task.seconds, 0.5)
    rates = Rates(
        bytes_per_second=measure_bandwidth(num_bytes, task.device, seconds=seconds),
        operations_per_second=measure_products(layers, task.batch_size, task.precision, task.device, seconds=seconds),
    )
    if task.device == "cuda":
        torch.cuda.empty_cache()
    floor_seconds, set_by = compute_floor(work, rates)
    return Floor(
        device=task.device,
        precision=task.precision,
        mb_per_trial_step=work.num_bytes / 1e6,
        mflop_per_trial_step=work.num_operations / 1e6,
        copied_mb=num_bytes / 1e6,
        bandwidth_gb_per_second=rates.bytes_per_second / 1e9,
        products_gflop_per_second=rates.operations_per_second / 1e9,
        ms_per_trial_step=1000 * floor_seconds,
        set_by=set_by,
    )


def count_steps(batch_size: int, num_images: int = NUM_IMAGES) -> int:
    """Count the steps in an epoch."""
    return -(-num_images // batch_size)


def has_failed(results: dict[str, Any]) -> bool:
    """Whether a row failed for another reason than lack of memory."""
    return any(row["problem"] not in (None, OUT_OF_MEMORY) for row in results["rows"])


def list_notes(results: list[Result]) -> list[str]:
    """List the notes that explain the numbers."""
    notes = [
        "Training steps only, no evaluation. Rows start from random parameters; those `after` some epochs, the plain "
        "loop's among them, start from the state that our trainer reaches in these epochs.",
        "ms/step: the median over chunks of steps, after a warm-up; in one step every trial of the row takes one.",
        "trial-epochs/h: from ms/step and the steps of an epoch. x plain: their ratio to the device's fastest plain "
        "loop from the same start. x start: ratio of ms/step to that of the same row from random parameters.",
        "MB: peak memory of each process; on the CPU torch is included, on the GPU only tensors count, beside which "
        "each process has a context there.",
        "floor: the larger of bytes over bandwidth and operations over rate. Bytes: Adam reads parameter, gradient and "
        "both moments and writes all but the gradient, which is written once; weights are read again forward and, "
        "except the first layer's, backward. Operations: the 11 matrix products. Rates are the best measured. CPU: the "
        "rates of one core, times the cores that a row can use; bytes by copying as much as the parameters, gradients "
        "and moments of a process, which caches may hold; operations by products of a step's shapes. GPU: bytes by "
        "copying 1 GB, so that a trial which fits into its cache could be faster; operations by one large product.",
    ]
    if any(result.has_torchvision is False for result in results):
        notes.append("torchvision cannot be imported here: the plain loop converts images as its ToTensor does.")
    return notes
