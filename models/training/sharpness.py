"""Schedules of the sharpness of the relaxed spike in a VSC's training."""

import torch
from torch import Tensor

from models.settings import TrialSettings

STEP = 0.001
"""Rise of the sharpness in one step or one epoch."""

END = 200.0
"""Sharpness at the last step of a ramp."""


def compute_sharpness(settings: TrialSettings, steps: Tensor, steps_per_epoch: int) -> Tensor:
    """Compute the sharpness c at some steps (from 0, over the run), float64; zeros where there is no spike.

    Source: "[Re] Variational Sparse Coding", section 3 (per_step) and its code (per_epoch); Tonolini et al. (2019),
    supplement (ramp).
    """
    steps = steps.double()
    start = settings.sharpness or 0.0
    match settings.sharpness_schedule:
        case None:
            return torch.zeros_like(steps)
        case "constant":
            return torch.full_like(steps, start)
        case "per_step":
            return start + STEP * steps
        case "per_epoch":
            return start + STEP * (steps / steps_per_epoch).floor()
        case "ramp":
            last = max(settings.epochs * steps_per_epoch - 1, 1)
            return start + (END - start) * (steps / last).clamp_max(1.0)
