"""How a run of a study ended."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """How a run of a study ended."""

    num_trials: int
    num_done: int
    num_diverged: int  # a result, which no other run would change
    num_failed: int  # ended by an error
    num_trained: int  # in this run, or only measured in it
    num_epochs: int  # trained in this run
    best: float | None  # of the study's metric
    interrupted: int  # by which signal; 0: by none
    seconds: float
    startup_seconds: float

    @property
    def has_failures(self) -> bool:
        """Whether a trial diverged or failed."""
        return bool(self.num_diverged or self.num_failed)
