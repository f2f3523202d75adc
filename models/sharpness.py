"""How the sharpness of the relaxed spike rises as a VSC trains."""

import torch
from torch import Tensor

from models.settings import TrialSettings

START, STEP, END = 50.0, 0.001, 200.0


def compute_sharpness(settings: TrialSettings, steps: Tensor, steps_per_epoch: int) -> Tensor:
    """The sharpness c at some steps (from 0, over the run), float64; zeros where there is no spike.

    per_step: the report's text (section 3); per_epoch: its code; ramp: from 50 to 200 over the run, the supplement
    of Tonolini et al. (2019).
    """
    steps = steps.double()
    match settings.sharpness_schedule:
        case None:
            return torch.zeros_like(steps)
        case "per_step":
            return START + STEP * steps
        case "per_epoch":
            return START + STEP * (steps / steps_per_epoch).floor()
        case "ramp":
            last = max(settings.epochs * steps_per_epoch - 1, 1)
            return START + (END - START) * (steps / last).clamp_max(1.0)
