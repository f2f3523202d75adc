"""How the sharpness of the relaxed spike rises as a VSC trains."""

import torch
from torch import Tensor

from models.settings import TrialSettings

STEP, END = 0.001, 200.0


def compute_sharpness(settings: TrialSettings, steps: Tensor, steps_per_epoch: int) -> Tensor:
    """The sharpness c at some steps (from 0, over the run), float64; zeros where there is no spike.

    per_step: the report's text (section 3); per_epoch: its code; ramp: to 200 over the run, the supplement of Tonolini
    et al. (2019).
    """
    steps = steps.double()
    start = settings.sharpness or 0.0
    match settings.sharpness_schedule:
        case None:
            return torch.zeros_like(steps)
        case "per_step":
            return start + STEP * steps
        case "per_epoch":
            return start + STEP * (steps / steps_per_epoch).floor()
        case "ramp":
            last = max(settings.epochs * steps_per_epoch - 1, 1)
            return start + (END - start) * (steps / last).clamp_max(1.0)
