"""The progress of a study: live in a terminal, one line in a notebook, a line now and then elsewhere."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from rich.console import Console, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from harness.ledger.result import DONE, FAILED, Status
from harness.progress_screen import RunningTrial, draw_screen, draw_starting, sparkline

PLAIN_SECONDS = 10.0  # between two lines if there is no terminal
STEADY_SECONDS = 5.0  # of training, before which a rate says little about the time left
NOTEBOOK_SECONDS = 0.5  # between two updates of the line in a notebook
STOPPING = "Stopping: what is finished stays, and what runs goes on from its checkpoints next time ..."
RATE_SECONDS = 30.0  # over which the rate of epochs is measured


def format_duration(seconds: float) -> str:
    """Format a duration for people: 45 s, 3 min 20 s, 2 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def is_rewritable(console: Console) -> bool:
    """Whether a line can be rewritten in place: on a terminal that moves its cursor, whatever FORCE_COLOR says."""
    return console.is_interactive and not console.is_dumb_terminal and console.file.isatty()


@contextmanager
def counting(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """Show how far a count is, as a bar where there is a terminal, else by a line now and then.

    Yields a function of what is counted, how many there are by now, and how many there will be.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Bars(*columns, console=console, transient=True, disable=not is_rewritable(console)) as bars:
        tasks, said_at = {}, 0.0

        def show(what: str, done: int, total: int) -> None:
            nonlocal said_at
            if what not in tasks:
                tasks[what] = bars.add_task(what)
            bars.update(tasks[what], completed=done, total=total)
            if bars.disable and (time.monotonic() - said_at >= PLAIN_SECONDS or done == total):
                said_at = time.monotonic()
                console.print(f"{what}: {done:,} of {total:,}", soft_wrap=True)

        yield show


class NotebookLine:
    """A line of a notebook's output that is replaced in place. rich's own way needs ipywidgets."""

    def __init__(self, render: Callable[[], Text]) -> None:
        self._render = render
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._refresh, name="progress", daemon=True)

    def start(self) -> None:
        """Show the line, and replace it every half second from now on."""
        from IPython.display import display

        self._handle = display(self._bundle(), raw=True, display_id=True)
        self._thread.start()

    def stop(self) -> None:
        """Show the line for the last time; it stays."""
        self._ended.set()
        self._thread.join()
        self._handle.update(self._bundle(), raw=True)

    def _refresh(self) -> None:
        while not self._ended.wait(NOTEBOOK_SECONDS):
            self._handle.update(self._bundle(), raw=True)

    def _bundle(self) -> dict[str, str]:
        return {"text/plain": self._render().plain}


class Progress:
    """Counts trials and epochs, and shows them."""

    def __init__(
        self, console: Console, *, num_trials: int, num_done: int, metric: str | None, mode: Literal["max", "min"]
    ) -> None:
        """metric: whose best value is shown, if any."""
        self._console, self._metric, self._sign = console, metric, 1 if mode == "max" else -1
        self._num_trials, self._done, self._running = num_trials, num_done, 0
        self._failed: Counter[Status] = Counter()  # among them those that diverged
        self._epochs_left = 0
        self._best: float | None = None
        self._course: deque[float] = deque(maxlen=64)  # of the best value
        self._trials: dict[str, RunningTrial] = {}
        self._spinner = Spinner("dots")
        self._began = time.monotonic()
        self._is_stopping = False
        self._trained = 0
        self._marks: deque[tuple[float, int]] = deque()
        self._stage, self._awaited = "starting", "starting Ray"
        self._first_epoch_at = 0.0
        self._lock = threading.Lock()
        self._last_line = 0.0
        self._live: Live | NotebookLine | None = None

    def __enter__(self) -> "Progress":
        self._last_line = time.monotonic()
        if self._console.is_jupyter:
            self._live = NotebookLine(self._render)
            self._live.start()
        elif is_rewritable(self._console):
            self._live = Live(get_renderable=self._draw, console=self._console, refresh_per_second=4, transient=True)
            self._live.start()
        else:
            self._print()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
        if self._stage == "training" and not isinstance(self._live, NotebookLine):
            self._print()

    def say_waiting(self, awaited: str) -> None:
        """Say what the first trial waits for, instead of that it starts."""
        with self._lock:
            self._awaited = awaited
        if self._live is None:
            self._print()

    def set_epochs_left(self, epochs: int) -> None:
        """Set how many epochs are still to be trained, as far as is known."""
        with self._lock:
            self._epochs_left = epochs

    def set_num_trials(self, num_trials: int) -> None:
        """Set how many trials there will be in all."""
        with self._lock:
            self._num_trials = num_trials

    def start_trial(self, trial_id: str = "", label: str = "", epochs: int = 0) -> None:
        """Count a trial that began to run. epochs: that it has in all."""
        with self._lock:
            if label:
                self._trials[trial_id] = RunningTrial(label, 0, epochs)
            is_first, self._stage = self._stage == "starting", "training"
            self._running += 1
            if not self._marks:
                self._first_epoch_at = time.monotonic()
                self._marks.append((time.monotonic(), 0))
        if is_first and self._live is None:  # its first epoch may take minutes
            self._print()

    def add_epoch(self, value: float | None, *, is_new: bool, trial_id: str = "", epoch: int = 0) -> None:
        """Count an epoch that was trained or, if it is not new, was stored already. value: of the study's metric."""
        with self._lock:
            if trial_id in self._trials:
                self._trials[trial_id].epoch = epoch
            if is_new:
                self._epochs_left = max(self._epochs_left - 1, 0)
                self._trained += 1
                now = time.monotonic()
                self._marks.append((now, self._trained))
                # Trials whose epochs take longer tell of them together: their rate is that of two epochs of each.
                while len(self._marks) > 2 * self._running + 1 and now - self._marks[0][0] > RATE_SECONDS:
                    self._marks.popleft()
            if self._metric and value is not None and (self._best is None or self._sign * (value - self._best) > 0):
                self._best = value
                self._course.append(value)
        self._maybe_print()

    def pause_trial(self, trial_id: str) -> None:
        """Count a trial that waits for others, and resumes later."""
        with self._lock:
            self._running -= 1
            self._trials.pop(trial_id, None)

    def say_stopping(self) -> None:
        """Say at once that the run was asked to end: also from the handler of a signal, in the midst of output."""
        if self._is_stopping:
            return
        self._is_stopping = True
        if self._live is None:  # a handler must not write where the program may be writing
            threading.Thread(target=self._console.print, args=(STOPPING,), name="stopping", daemon=True).start()

    def end_trial(self, status: Status, *, epochs_skipped: int = 0, trial_id: str = "") -> None:
        """Count a trial that ended. status: how. epochs_skipped: of its epochs, those that will not be trained."""
        with self._lock:
            self._running -= 1
            self._trials.pop(trial_id, None)
            self._done += status in DONE
            self._failed[status] += status in FAILED
            self._epochs_left = max(self._epochs_left - epochs_skipped, 0)
        self._maybe_print()

    def _maybe_print(self) -> None:
        now = time.monotonic()
        if self._live is None and now - self._last_line >= PLAIN_SECONDS:
            self._last_line = now
            self._print()

    def _print(self) -> None:
        # A terminal wraps it; elsewhere it stays one line, whatever width rich assumes.
        self._console.print(self._render().plain, soft_wrap=self._live is None, markup=False)

    def _rate(self) -> float:
        """Epochs per second over the last RATE_SECONDS."""
        if len(self._marks) < 2:
            return 0.0
        (first, before), (_, after) = self._marks[0], self._marks[-1]
        elapsed = time.monotonic() - first
        return (after - before) / elapsed if elapsed > 0 else 0.0

    def _render(self) -> Text:
        with self._lock:
            if self._stage == "starting":
                return Text(f"{self._done}/{self._num_trials} trials done, {self._awaited} ...", no_wrap=True)
            return Text(", ").join(self._list_parts())

    def _draw(self) -> RenderableType:
        """What a terminal shows."""
        with self._lock:
            elapsed = format_duration(time.monotonic() - self._began)
            if self._is_stopping:
                return Text(STOPPING, style="yellow", no_wrap=True, overflow="ellipsis")
            if self._stage == "starting":
                line = f"{self._done}/{self._num_trials} trials done, {self._awaited} ..."
                return draw_starting(self._spinner, line, elapsed)
            parts = [*self._list_parts(), Text(f"{elapsed} so far")]
            if len(self._course) > 1:
                parts[-2].append(f" {sparkline(list(self._course))}") if self._best is not None else None
            share = (self._done + self._failed.total()) / max(self._num_trials, 1)
            return draw_screen(parts, share, self._trials, width=self._console.width)

    def _list_parts(self) -> list[Text]:
        rate = self._rate()
        is_steady = bool(self._marks) and time.monotonic() - self._first_epoch_at > STEADY_SECONDS
        parts = [Text(f"{self._done}/{self._num_trials} trials done"), Text(f"{self._running} running")]
        parts += [Text(f"{num} {status}", style="red") for status in FAILED if (num := self._failed[status])]
        if rate > 0:
            parts.append(Text(f"{rate:.3g} epochs/s"))
        if rate > 0 and self._epochs_left and is_steady:
            parts.append(Text(f"{format_duration(self._epochs_left / rate)} left"))
        if self._best is not None:
            parts.append(Text(f"best {self._metric} {self._best:.2f}"))
        return parts
