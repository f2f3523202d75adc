"""Running out of memory: how a process that trains sees it, and how it says so to others. Needs no torch to be read."""

from analysis.wording import plural


class MemoryShortageError(Exception):
    """A process has run out of memory, of its machine or of its card: fewer trials at once may have enough."""

    def __init__(self, num_trials: int) -> None:
        """num_trials: that the process was at work on."""
        super().__init__(num_trials)
        self.num_trials = num_trials

    def __str__(self) -> str:
        return f"out of memory with {plural(self.num_trials, 'trial')} in the process"
