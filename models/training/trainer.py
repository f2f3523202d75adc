"""What every trainer takes and gives: members, the metrics of an epoch, what ends one."""

from dataclasses import dataclass

from models.settings import TrialSettings
from models.training.report_stream import ReportStream


class DivergedError(ArithmeticError):
    """The training objective stopped being finite at this epoch (from 1) and step (from 1, over the run)."""

    def __init__(self, epoch: int, step: int) -> None:
        super().__init__(f"the loss stopped being finite in epoch {epoch}, at step {step}")
        self.epoch, self.step = epoch, step

    def __reduce__(self) -> tuple[type, tuple[int, int]]:
        return type(self), (self.epoch, self.step)  # it can go from one process to another


@dataclass(frozen=True, kw_only=True)
class EpochMetrics:
    """Means over the training images seen in one epoch, nats per image, and how long it took."""

    epoch: int  # from 1
    loss: float  # the objective: beta * rate + distortion
    rate: float
    distortion: float
    sharpness: float | None  # at the epoch's last step; None where there is no spike
    seconds: float  # of a stack's epoch, this member's share


@dataclass
class Member:
    """A trial in a stack: its settings, and how far it has come."""

    settings: TrialSettings
    epoch: int  # epochs done
    step: int  # steps done
    stream: ReportStream | None = None  # where its randomness is the report's, once it has trained here
