"""How progress looks in a terminal: a bar with counts, the course of the best value, a row for each running trial."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

MOST_ROWS = 6  # of running trials
BLOCKS = "▁▂▃▄▅▆▇█"
SPARK_WIDTH = 16  # characters
BAR_WIDTH = 20


@dataclass
class RunningTrial:
    """A trial that runs: its name, and the epoch that it has finished of all."""

    label: str
    epoch: int
    epochs: int


def sparkline(values: Sequence[float]) -> str:
    """The course of a value in blocks, the newest last; a level line where it did not change."""
    shown = values[-SPARK_WIDTH:]
    low, high = min(shown), max(shown)
    if high == low:
        return BLOCKS[0] * len(shown)
    return "".join(BLOCKS[round((value - low) / (high - low) * (len(BLOCKS) - 1))] for value in shown)


def draw_starting(spinner: Spinner, line: str, elapsed: str) -> RenderableType:
    """What is shown until the first trial runs. spinner: the same at each call, as it knows how far it is."""
    spinner.update(text=Text(f"{line} {elapsed}", no_wrap=True, overflow="ellipsis"))
    return spinner


def draw_screen(
    parts: Sequence[Text], share: float, running: Mapping[str, RunningTrial], *, width: int
) -> RenderableType:
    """One line with a bar, and below it the trials that run. parts: what the line says, the most important first."""
    first = Table.grid(padding=(0, 1))
    first.add_column(width=min(BAR_WIDTH, max(4, width // 5)), no_wrap=True)
    first.add_column(no_wrap=True, overflow="ellipsis")
    said = Text(", ", style="none").join(parts)
    first.add_row(ProgressBar(total=1.0, completed=share), Text.assemble(said, no_wrap=True, overflow="ellipsis"))
    rows = Table.grid(padding=(0, 1))
    rows.add_column(width=2)
    rows.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    rows.add_column(no_wrap=True)
    for trial in list(running.values())[:MOST_ROWS]:
        share_of_trial = trial.epoch / max(trial.epochs, 1)
        bar = ProgressBar(total=1.0, completed=share_of_trial, width=8)
        count = Table.grid(padding=(0, 1))
        count.add_row(bar, Text(f"epoch {trial.epoch} of {trial.epochs}", no_wrap=True))
        rows.add_row("", Text(trial.label, no_wrap=True, overflow="ellipsis", style="dim"), count)
    more = len(running) - MOST_ROWS
    shown: list[RenderableType] = [first, rows] if running else [first]
    if more > 0:
        shown.append(Text(f"   and {more} more", style="dim", no_wrap=True))
    return Group(*shown)
