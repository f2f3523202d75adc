"""What is compared: the rows of the benchmark, each timed in processes of its own, and the floor of each."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
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
from models.benchmark.timing import ALPHA, NUM_HIDDEN, NUM_IMAGES, SIDE, Task, Timing
from models.numerics.machine import count_cores, describe_machine
from models.training.stacked.cuda_graph import GRAPH_STEPS

CPU_FUSED = (8,)
GPU_FUSED = (8, 32, 64, 128)
TIME_SLICED = 8
AFTER = ", after "  # in the name of a row, before its epochs


@dataclass(frozen=True, kw_only=True)
class Row:
    """A way of training, and how many processes train so at once."""

    name: str
    task: Task
    num_processes: int = 1


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a row came to; None where `problem` says why not."""

    name: str
    device: str
    loop: str
    precision: str
    num_trials: int  # in all its processes
    num_processes: int
    num_threads_per_process: int | None = None
    epochs_before: int = 0  # that the timed model had trained for
    num_steps_timed_per_process: int | None = None
    has_torchvision: bool | None = None  # for ToTensor; None: ours, which needs none
    ms_per_step: float | None = None  # in which every trial takes one
    trial_epochs_per_hour: float | None = None
    ratio_to_plain_loop: float | None = None  # of trial-epochs per hour, to the device's fastest plain loop
    ratio_to_start: float | None = None  # of a trained state's step, in time, to that of the same row at its start
    peak_memory_mb_per_process: float | None = None
    floor_ms_per_step: float | None = None
    floor_set_by: str | None = None
    fraction_of_floor: float | None = None  # floor / measured
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class Floor:
    """The least time of a trial's step on one core or GPU, and what it was computed from."""

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
    """Every row, each device's plain loop first."""
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
        if options.epochs:  # the plain loop's last row, which is of one thread on a CPU, and one trial of ours
            rows += [train_before(row, options.epochs) for row in (plain[-1], *(each[0] for each in ours))]
    return rows


def train_before(row: Row, epochs: int) -> Row:
    """The same row, of a model that has trained for some epochs."""
    name = f"{row.name}{AFTER}{epochs} epochs"
    return replace(row, name=name, task=replace(row.task, epochs=epochs))


def list_plain_rows(task: Task) -> list[Row]:
    """The plain loop on its device: as it comes and, on a CPU, on one thread too."""
    if task.device != "cpu":
        return [Row(name="GPU: plain loop", task=task)]
    return [
        Row(name=f"CPU: plain loop, torch's {torch.get_num_threads()} threads", task=task),
        Row(name="CPU: plain loop, 1 thread", task=replace(task, num_threads=1)),
    ]


def list_our_rows(task: Task, num_cores: int) -> list[Row]:
    """Ours on the task's device, in its precision."""
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
    """Steps of ours in one call: so many that what a call costs at its start counts about as little as in an epoch."""
    most = NUM_IMAGES // task.batch_size
    if task.device == "cpu":
        return min(25, most)
    # Whole graphs; where a step is long, a fifth of an epoch of MNIST.
    wanted = most if task.num_trials <= 8 else min(375, most)
    return max(wanted - wanted % GRAPH_STEPS, min(wanted, GRAPH_STEPS))


def compare(options: Options, *, command: str, on_progress: Callable[[str], None]) -> dict[str, Any]:
    """Time every row; what comes back is plain JSON values, with a list of results under `rows`.

    command: what the user typed. on_progress: is given a line before each row.
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
    layers = list_layers(SIDE**2, NUM_HIDDEN, options.latent_dim)
    return {
        "command": command,
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "machine": describe_machine(with_gpu="cuda" in options.list_devices()),
        "model": {
            "name": "vsc",
            "num_pixels": SIDE**2,
            "num_hidden": NUM_HIDDEN,
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
    """Time a row in processes of its own."""
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
    """The result with its numbers. timings: of its processes, which ran at once. num_cores: of the machine."""
    # What they do together in a second is a sum of rates; of processes of unequal speed, the mean time would say less.
    ms_per_step = len(timings) / sum(1 / timing.ms_per_step for timing in timings)
    per_hour = result.num_trials * 3.6e6 / (ms_per_step * num_steps_per_epoch)
    num_threads = timings[0].num_threads
    # A GPU is one; the floor of a CPU is that of the cores that the row can use.
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
    """The results set against the plain loop of their device, the fastest if there are several.

    Which one that is depends on the machine: where it is busy, many threads wait for each other.
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
    """The rows of trained states set against the same rows at their start, by name."""
    at_start = {result.name: result.ms_per_step for result in results if not result.epochs_before}
    set_against = []
    for result in results:
        start = at_start.get(result.name.partition(AFTER)[0])
        if result.epochs_before and start is not None and result.ms_per_step is not None:
            result = replace(result, ratio_to_start=result.ms_per_step / start)  # noqa: PLW2901
        set_against.append(result)
    return set_against


def measure_floor(task: Task) -> Floor:
    """The floor of a task's trials, from rates measured on its device, in this process, on one thread of a CPU."""
    layers = list_layers(SIDE**2, NUM_HIDDEN, task.latent_dim)
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


def count_steps(batch_size: int) -> int:
    """Steps in an epoch."""
    return -(-NUM_IMAGES // batch_size)


def has_failed(report: dict[str, Any]) -> bool:
    """Whether a row could not be timed, for another reason than that it does not fit into memory."""
    return any(row["problem"] not in (None, OUT_OF_MEMORY) for row in report["rows"])


def list_notes(results: list[Result]) -> list[str]:
    """What one has to know to read the numbers."""
    notes = [
        "Training steps only, no evaluation. Rows begin at a random start, but those `after` some epochs: at the state "
        "that our trainer comes to by then, the plain loop's as well.",
        "ms/step: the median over chunks of steps, after a warm-up; in it each of the row's trials takes one step.",
        "trial-epochs/h: from ms/step and the steps of an epoch. x plain: to the device's fastest plain loop that "
        "begins alike. x start: the time of a step, to that of the same row at the random start.",
        "MB: of each process, on the CPU its peak in memory, torch included; on the GPU the peak of its tensors, "
        "beside which each process has a context there.",
        "floor: the larger of bytes over bandwidth and operations over rate. Bytes: Adam reads parameter, gradient and "
        "both moments and writes all but the gradient, which is written once; weights are read again forward and, but "
        "for the first layer's, backward. Operations: the 11 matrix products. Rates are the best seen. CPU: of one "
        "core, times those that a row can use; by copying within as much as a process's parameters, gradients and "
        "moments fill, which caches may hold; by products of a step's own shapes. GPU: by copying 1 GB, so that one "
        "trial, which its cache may hold, could be faster; by one large product.",
    ]
    if any(result.has_torchvision is False for result in results):
        notes.append("torchvision cannot be imported here: the plain loop converts images as its ToTensor does.")
    return notes
