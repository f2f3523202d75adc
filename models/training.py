"""Train one model: a generator of epochs over images held in memory."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from models.adam import Adam
from models.autoencoder import Autoencoder
from models.randomness import make_stream
from models.settings import SharpnessSchedule, TrialSettings
from models.vae import VAE
from models.vsc import VSC

SHARPNESS_START, SHARPNESS_STEP, SHARPNESS_END = 50.0, 0.001, 200.0


class DivergedError(ArithmeticError):
    """The training objective stopped being finite at this epoch (from 1) and step (from 1, over the run)."""

    def __init__(self, epoch: int, step: int) -> None:
        super().__init__(f"the loss stopped being finite in epoch {epoch}, at step {step}")
        self.epoch, self.step = epoch, step

    def __reduce__(self) -> tuple[type, tuple[int, int]]:
        return type(self), (self.epoch, self.step)  # it can go from one process to another


@dataclass
class TrainState:
    """All that training needs to go on; between epochs it needs nothing more, as every epoch has its own streams."""

    model: Autoencoder
    optimizer: Adam
    epoch: int = 0  # epochs done
    step: int = 0  # optimizer steps done

    def tensors(self) -> dict[str, Tensor]:
        """Parameters and Adam's moments, by name; they share memory with the state."""
        state: dict[str, Tensor] = {}
        moments = zip(self.optimizer.exp_avgs, self.optimizer.exp_avg_sqs, strict=True)
        for (name, p), (avg, avg_sq) in zip(self.model.named_parameters(), moments, strict=True):
            state[f"model.{name}"] = p.detach()
            state[f"adam.{name}.exp_avg"] = avg
            state[f"adam.{name}.exp_avg_sq"] = avg_sq
        return state

    def load(self, tensors: dict[str, Tensor], *, epoch: int, step: int) -> None:
        """Go back to a stored state: what `tensors` returned, and how far training had come.

        Raises:
            ValueError: the names or shapes are not those of this model.
        """
        own = self.tensors()
        if {n: t.shape for n, t in own.items()} != {n: t.shape for n, t in tensors.items()}:
            raise ValueError("the stored state is that of another model")
        for name, tensor in own.items():
            tensor.copy_(tensors[name])
        self.optimizer.set_step(step)
        self.epoch, self.step = epoch, step


@dataclass(frozen=True, kw_only=True)
class EpochMetrics:
    """Means over the training images seen in one epoch, nats per image, and how long it took."""

    epoch: int  # from 1
    loss: float  # the objective: beta * rate + distortion
    rate: float
    distortion: float
    sharpness: float | None  # at the epoch's last step; None where there is no spike
    seconds: float


def build_model(settings: TrialSettings, num_pixels: int) -> Autoencoder:
    """The freshly initialised model, on the CPU.

    Its parameters are those that the report's code draws after torch.manual_seed(seed): what becomes of a VSC with few
    latents depends on them by whole nats.
    """
    generator = torch.Generator().manual_seed(settings.seed % 2**64)
    if settings.model == "vae":
        return VAE(num_pixels, settings.hidden, settings.latent_dim, generator)
    assert settings.alpha is not None
    assert settings.gamma_link is not None
    return VSC(
        num_pixels,
        settings.hidden,
        settings.latent_dim,
        generator,
        alpha=settings.alpha,
        gamma_link=settings.gamma_link,
    )


def init_state(settings: TrialSettings, num_pixels: int, device: torch.device | str = "cpu") -> TrainState:
    """A model before its first step, and its optimizer."""
    model = build_model(settings, num_pixels).to(device)
    return TrainState(model, Adam(model.parameters(), settings.learning_rate))


def compute_sharpness(
    schedule: SharpnessSchedule | None, *, step: int, steps_per_epoch: int, epochs: int
) -> float | None:
    """The sharpness c at a step (from 0, over the run).

    per_step: the report's text (section 3); per_epoch: its code; ramp: from 50 to 200 over the run, the supplement
    of Tonolini et al. (2019).
    """
    match schedule:
        case None:
            return None
        case "per_step":
            return SHARPNESS_START + SHARPNESS_STEP * step
        case "per_epoch":
            return SHARPNESS_START + SHARPNESS_STEP * (step // steps_per_epoch)
        case "ramp":
            last = max(epochs * steps_per_epoch - 1, 1)
            return SHARPNESS_START + (SHARPNESS_END - SHARPNESS_START) * min(step / last, 1.0)


@contextmanager
def single_thread() -> Iterator[None]:
    """One thread inside: sums are then added in the same order on every machine and beside any neighbour."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def fit(state: TrainState, settings: TrialSettings, images: Tensor) -> Iterator[EpochMetrics]:
    """Train up to settings.epochs, yielding after every epoch; the state between yields can be stored and put back.

    images: (N, pixels) uint8, on the device that trains.

    Raises:
        DivergedError: the objective stopped being finite. The state is then of no use.
    """
    while state.epoch < settings.epochs:
        with single_thread():
            metrics = _fit_epoch(state, settings, images)
        yield metrics


def _fit_epoch(state: TrainState, settings: TrialSettings, images: Tensor) -> EpochMetrics:
    started = time.perf_counter()
    epoch, device, num_images = state.epoch + 1, images.device, len(images)
    noise = make_stream(settings.seed, "noise", epoch, device=device)
    # Drawn on the CPU wherever the images are: the same order on every device.
    order = torch.randperm(num_images, generator=make_stream(settings.seed, "order", epoch)).to(device)
    batches = order.split(settings.batch_size)
    terms = torch.empty(len(batches), 2, device=device)  # rate and distortion of every step, read once at the end
    sharpness = None
    state.model.train()
    for i, batch in enumerate(batches):
        sharpness = compute_sharpness(
            settings.sharpness_schedule,
            step=state.step,
            steps_per_epoch=len(batches),
            epochs=settings.epochs,
        )
        elbo = state.model.compute_elbo(to_pixels(images[batch]), noise, sharpness=sharpness)
        # The sum over the batch, as in the report's code: Adam does not see the scale, but for its epsilon, which
        # weighs on the small gradients of latents that are almost always off.
        (settings.beta * elbo.rate + elbo.distortion).sum().backward()
        state.optimizer.step()
        terms[i, 0], terms[i, 1] = elbo.rate.detach().mean(), elbo.distortion.detach().mean()
        state.step += 1
    state.epoch = epoch

    terms = terms.cpu().double()
    finite = terms.isfinite().all(dim=1)
    if not finite.all():
        first = int((~finite).nonzero()[0])
        raise DivergedError(epoch, (epoch - 1) * len(batches) + first + 1)
    weights = torch.tensor([len(b) for b in batches], dtype=torch.float64) / num_images
    mean_rate, mean_distortion = (weights @ terms).tolist()
    return EpochMetrics(
        epoch=epoch,
        loss=settings.beta * mean_rate + mean_distortion,
        rate=mean_rate,
        distortion=mean_distortion,
        sharpness=sharpness,
        seconds=time.perf_counter() - started,
    )


def to_pixels(images: Tensor) -> Tensor:  # (..., pixels) uint8 -> (..., pixels) float32
    """Bytes as intensities in [0, 1]."""
    return images.to(torch.float32).div_(255)


def describe_device(device: Any) -> str:
    """The device in words: the card's name, or cpu."""
    return torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else "cpu"
