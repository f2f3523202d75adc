"""Time training steps in this process."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle, islice
from statistics import median
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from models.benchmark.floor import synchronize
from models.benchmark.plain_loop import has_torchvision, train_plainly
from models.benchmark.subjects import ALPHA, MNIST, SUBJECTS
from models.choices import ImageShape, Precision
from models.numerics.machine import read_peak_memory
from models.settings import TrialSettings
from models.training.fit import fit
from models.training.make_trainer import make_trainer
from models.training.state import TrainState, init_state
from models.training.trainer import raise_failure

NUM_IMAGES = MNIST.num_images
MIN_CHUNKS = 3  # timed at least


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task that a process times."""

    loop: Literal["plain", "ours"]
    device: str
    latent_dim: int
    batch_size: int
    seconds: float  # of timing; at least MIN_CHUNKS chunks are timed
    precision: Precision = "float32"
    num_trials: int = 1  # trained together; the plain loop trains one
    num_threads: int | None = None  # of the plain loop; None: torch's default. Our trainer has one
    chunk_steps: int = 25  # steps timed together; on a GPU a multiple of models.training.stacked.cuda_graph.GRAPH_STEPS
    subject: str = "mnist"  # see SUBJECTS; the plain loop trains this one alone
    num_images: int = NUM_IMAGES
    epochs: int = 0  # that the model trains for before it is timed
    images: str | None = None  # an .npy file of images (N, H, W) uint8; None: generated ones


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The timing of a task in one process."""

    ms_per_step: float  # in which every trial of the task takes a step; median over chunks
    num_steps: int  # timed
    num_threads: int
    has_torchvision: bool | None  # whether the plain loop converts with its ToTensor; None: our trainer
    peak_memory_mb: float  # of the process, or of its tensors on the GPU


def make_images(count: int, shape: ImageShape, seed: int = 0) -> Tensor:  # -> (count, C, H, W) uint8
    """Make images of noise in which, as in MNIST, a fifth of the pixels are not black."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.empty(count, *shape, dtype=torch.uint8).random_(generator=generator)
    return images.masked_fill_(images > 255 // 5, 0).mul_(5)


def time_task(task: Task, when_warm: Callable[[], object] = lambda: None) -> Timing:
    """Time a task in this process. when_warm: called between the warm-up and the timing."""
    device = torch.device(task.device)
    run_chunk = _start_plain(task) if task.loop == "plain" else _start_ours(task)
    run_chunk()
    synchronize(device)
    when_warm()
    seconds: list[float] = []
    while len(seconds) < MIN_CHUNKS or sum(seconds) < task.seconds:
        started = time.perf_counter()
        run_chunk()
        synchronize(device)
        seconds.append(time.perf_counter() - started)
    return Timing(
        ms_per_step=1000 * median(seconds) / task.chunk_steps,
        num_steps=len(seconds) * task.chunk_steps,
        num_threads=torch.get_num_threads() if task.loop == "plain" else 1,
        has_torchvision=has_torchvision() if task.loop == "plain" else None,
        peak_memory_mb=read_peak_memory(device.type) / 1e6,
    )


def _read_images(task: Task) -> Tensor:  # -> (N, C, H, W) uint8
    if task.images is not None:
        return torch.from_numpy(np.load(task.images)).unsqueeze(1)
    return make_images(task.num_images, SUBJECTS[task.subject].image_shape)


def _make_settings(task: Task) -> list[TrialSettings]:
    return [
        SUBJECTS[task.subject].make_settings(
            latent_dim=task.latent_dim,
            batch_size=task.batch_size,
            precision=task.precision,
            learning_rate=1e-3 * (1 + k / task.num_trials),
            epochs=max(task.epochs, 1),
            seed=k,
        )
        for k in range(task.num_trials)
    ]


def _make_state(task: Task, settings: TrialSettings, images: Tensor) -> TrainState:
    """Make the state that a trial's timing starts from, trained for the task's epochs on images (N, C, H, W)."""
    state = init_state(settings, SUBJECTS[task.subject].image_shape, images.device)
    if task.epochs:
        for _ in fit(state, settings, images):
            pass
    return state


def _start_plain(task: Task) -> Callable[[], object]:
    """Start the plain loop; return a function that runs its next chunk of steps."""
    images = _read_images(task)
    trained = None
    if task.epochs:  # by our trainer, which is faster
        (settings,) = _make_settings(task)
        trained = _make_state(task, settings, images)
    (num_hidden,) = MNIST.settings["hidden"]
    steps = train_plainly(
        images.squeeze(1),
        num_hidden=num_hidden,
        latent_dim=task.latent_dim,
        alpha=ALPHA,
        batch_size=task.batch_size,
        device=task.device,
        trained=trained,
    )
    return lambda: sum(islice(steps, task.chunk_steps))


def _start_ours(task: Task) -> Callable[[], object]:
    """Start our trainer; return a function that trains for a chunk of steps, as an epoch of that many images."""
    images = _read_images(task).to(task.device)
    trials = _make_settings(task)
    shape = SUBJECTS[task.subject].image_shape
    trainer = make_trainer(trials[0], shape, latent_dim=task.latent_dim, capacity=len(trials), device=task.device)
    for settings in trials:
        state = _make_state(task, settings, images)
        trainer.add(settings, state.tensors(), epoch=state.epoch, step=state.step)
        del state  # before the next one is made: the trainer has copied it, and the peak of memory is measured
    assert len(images) >= task.chunk_steps * task.batch_size
    parts = images.split(task.chunk_steps * task.batch_size)
    # A CUDA graph needs the same images each time. On a CPU other images follow, lest the cache hold them all.
    turns = cycle(parts[:1] if images.is_cuda else parts[: len(images) // len(parts[0])])
    return lambda: raise_failure(trainer.fit_epoch(next(turns)))
