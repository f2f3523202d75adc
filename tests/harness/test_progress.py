"""The line of live status: what it counts, how it is written in a terminal and elsewhere."""

import io
import re
import threading
import time
from types import SimpleNamespace
from typing import Literal

import pytest
from rich.console import Console

from harness.progress import PLAIN_SECONDS, RATE_SECONDS, Progress, format_duration
from harness.progress_screen import sparkline


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (45, "45 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (360_000, "100 h 00 min"),
    ],
)
def test_durations_are_written_as_people_say_them(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("harness.progress.time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


class Screen(io.StringIO):
    """What a terminal is given to show."""

    def isatty(self) -> bool:
        return True


def make_console(*, width: int = 200, terminal: bool = False, term: str = "xterm", **extra: str) -> Console:
    return Console(
        file=Screen() if terminal else io.StringIO(),
        width=width,
        color_system=None,
        highlight=False,
        _environ={"TERM": term, **extra},
    )


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def make_progress(console: Console, *, mode: Literal["max", "min"] = "max") -> Progress:
    return Progress(console, num_trials=10, num_done=3, metric="val/elbo", mode=mode)


# Elsewhere than in a terminal


def test_it_begins_with_a_plain_line_that_says_what_is_done(clock: Clock) -> None:
    console = make_console()
    with make_progress(console):
        assert written(console) == "3/10 trials done, starting Ray ...\n"
    assert written(console).count("\n") == 1  # nothing ran, so there is nothing to add


def test_it_says_what_the_first_trial_waits_for(clock: Clock) -> None:
    console = make_console()
    with make_progress(console) as progress:
        progress.say_waiting("waiting for 1 CPU, as others use 2 of 2")
        assert written(console).endswith("\n3/10 trials done, waiting for 1 CPU, as others use 2 of 2 ...\n")
        progress.start_trial()
        progress.add_epoch(None, is_new=True)
    assert "waiting" not in written(console).splitlines()[-1]


def test_every_number_of_the_line_is_right(clock: Clock) -> None:
    console = make_console()
    with make_progress(console) as progress:
        progress.set_epochs_left(100)
        for _ in range(3):
            progress.start_trial()
        for value in (-30.0, -20.125, -25.0):
            clock.now += 2
            progress.add_epoch(value, is_new=True)
        clock.now += 4
        progress.add_epoch(None, is_new=True)
        progress.end_trial("diverged", epochs_skipped=16)
        progress.end_trial("finished")
        progress.end_trial("failed")
    # 4 epochs in 10 seconds; 100 - 4 - 16 are left
    expected = (
        "4/10 trials done, 0 running, 1 failed, 1 diverged, 0.4 epochs/s, 3 min 20 s left, best val/elbo -20.12\n"
    )
    assert written(console).splitlines(keepends=True)[-1] == expected


def test_without_a_metric_no_best_is_shown(clock: Clock) -> None:
    """The test images are for the end."""
    console = make_console()
    with Progress(console, num_trials=1, num_done=0, metric=None, mode="min") as progress:
        progress.start_trial()
        progress.add_epoch(30.0, is_new=True)
    assert "best" not in written(console)


@pytest.mark.parametrize(("mode", "best"), [("max", "2.00"), ("min", "-1.00")])
def test_the_best_value_respects_the_mode(clock: Clock, mode: Literal["max", "min"], best: str) -> None:
    console = make_console()
    with make_progress(console, mode=mode) as progress:
        progress.start_trial()
        for value in (1.0, 2.0, None, -1.0, 0.0):
            progress.add_epoch(value, is_new=False)
    assert written(console).rstrip().endswith(f"best val/elbo {best}")


def test_epochs_from_a_checkpoint_do_not_count_as_speed(clock: Clock) -> None:
    console = make_console()
    with make_progress(console) as progress:
        progress.set_epochs_left(10)
        progress.start_trial()
        clock.now += 20
        progress.add_epoch(1.0, is_new=False)
    last = written(console).splitlines()[-1]
    assert "epochs/s" not in last
    assert "left" not in last


def test_the_time_left_is_shown_only_once_the_rate_is_steady(clock: Clock) -> None:
    console = make_console()
    with make_progress(console) as progress:
        progress.set_epochs_left(1000)
        progress.start_trial()
        clock.now += 1
        progress.add_epoch(1.0, is_new=True)
    assert "1 epochs/s" in written(console)
    assert " left" not in written(console)


def test_the_rate_is_that_of_late(clock: Clock) -> None:
    console = make_console()
    with make_progress(console) as progress:
        progress.start_trial()
        for pause in [100.0, *[0.5] * 200]:
            clock.now += pause
            progress.add_epoch(1.0, is_new=True)
        assert clock.now - 1000 > 2 * RATE_SECONDS
    assert ", 2 epochs/s" in written(console).splitlines()[-1]


def test_the_rate_of_long_epochs_is_that_of_all_trials(clock: Clock) -> None:
    """Trials that began together end their epochs together."""
    console = make_console()
    with make_progress(console) as progress:
        progress.set_epochs_left(8)
        for _ in range(2):
            progress.start_trial()
        for _ in range(3):
            clock.now += 10 * RATE_SECONDS
            progress.add_epoch(1.0, is_new=True)
            clock.now += 1
            progress.add_epoch(1.0, is_new=True)
    assert ", 0.00664 epochs/s, 5 min 01 s left" in written(console).splitlines()[-1]


def test_that_trials_run_is_said_before_their_first_epoch_ends(clock: Clock) -> None:
    console = make_console()
    with make_progress(console) as progress:
        progress.start_trial()
        progress.start_trial()
        assert written(console).splitlines()[1:] == ["3/10 trials done, 1 running"]


def test_plain_lines_come_now_and_then(clock: Clock) -> None:
    console = make_console()
    with make_progress(console) as progress:
        progress.start_trial()
        for _ in range(35):
            clock.now += PLAIN_SECONDS / 10
            progress.add_epoch(1.0, is_new=True)
        assert written(console).count("\n") == 2 + 3
    assert written(console).count("\n") == 2 + 3 + 1
    assert "\x1b" not in written(console)
    assert "\r" not in written(console)


def run_through(console: Console, pause: float = 0.0) -> None:
    progress = Progress(console, num_trials=10_000, num_done=1234, metric="test/elbo_relaxed", mode="max")
    with progress:
        progress.set_epochs_left(10**6)
        for i in range(6):
            progress.start_trial()
            progress.add_epoch(-123456.789 + i, is_new=True)
            progress.end_trial("failed")
            time.sleep(pause)


@pytest.mark.parametrize("width", [1, 40, 80])
def test_a_plain_line_stays_one_line_and_whole(width: int) -> None:
    console = make_console(width=width)
    run_through(console)
    assert written(console).count("\n") == 3
    assert written(console).endswith(" best test/elbo_relaxed -123451.79\n")


@pytest.mark.parametrize("term", ["dumb", "unknown"])
def test_a_terminal_that_cannot_move_its_cursor_gets_plain_lines(clock: Clock, term: str) -> None:
    console = make_console(terminal=True, term=term)
    run_through(console)
    assert written(console).count("trials done") == 3
    assert "\x1b" not in written(console)


def test_a_file_gets_plain_lines_whatever_force_color_says(clock: Clock) -> None:
    console = make_console(FORCE_COLOR="1")
    run_through(console)
    assert console.is_terminal
    assert written(console).count("trials done") == 3
    assert "\x1b[2K" not in written(console)


# In a terminal


@pytest.fixture
def terminal() -> Console:
    return make_console(width=120, terminal=True)


def test_in_a_terminal_one_line_is_rewritten_in_place(terminal: Console) -> None:
    run_through(terminal, pause=0.15)  # it is drawn four times a second
    shown = written(terminal)
    assert shown.count("\r\x1b[2K") >= 2
    drawn = [part for part in re.split(r"\x1b\[2K|\r|\n", shown) if "trials done" in part]
    assert len(drawn) >= 3
    assert len(set(drawn)) >= 3  # and it changes
    assert shown.count("\n") <= 3  # while nothing scrolls


@pytest.mark.parametrize("width", [10, 40, 80, 300])
def test_in_a_terminal_no_line_is_wider_than_it(width: int) -> None:
    console = make_console(width=width, terminal=True)
    run_through(console, pause=0.05)
    while_it_runs, *_ = written(console).split("\x1b[?25h")
    assert "\x1b[1A" not in while_it_runs  # nor does the cursor go up, as it would over a folded line
    lines = re.sub(r"\x1b\[[0-9?;]*[A-Za-z]", "", written(console)).replace("\r", "\n").splitlines()
    assert 0 < max(map(len, lines)) <= width
    assert "test/elbo_relaxed" in " ".join(lines) or width == 10  # the last line is folded, not cut


def test_a_terminal_keeps_the_last_line_and_gets_its_cursor_back(terminal: Console) -> None:
    run_through(terminal)
    shown = written(terminal)
    assert shown.rstrip("\n").endswith("best test/elbo_relaxed -123451.79")
    assert shown.rfind("\x1b[?25h") > shown.rfind("\x1b[?25l") >= 0


def test_a_terminal_is_given_back_after_an_error(terminal: Console) -> None:
    with pytest.raises(ZeroDivisionError), make_progress(terminal):
        raise ZeroDivisionError
    assert written(terminal).rfind("\x1b[?25h") > written(terminal).rfind("\x1b[?25l") >= 0


def test_a_terminal_shows_each_trial_that_runs_and_how_far_it_is(clock: Clock, terminal: Console) -> None:
    with make_progress(terminal) as progress:
        for number in range(8):
            progress.start_trial(str(number), f"vsc latent {number}", epochs=20)
        progress.add_epoch(-3.0, is_new=True, trial_id="1", epoch=4)
        progress.add_epoch(-2.0, is_new=True, trial_id="1", epoch=5)
        progress.end_trial("failed", trial_id="0")
        screen = draw(progress)
    assert re.search(r"vsc latent 1 .* epoch 5 of 20", screen)
    assert "vsc latent 0" not in screen  # it has ended
    assert "and 1 more" in screen
    assert "▁█" in screen
    assert "1 failed" in screen


def draw(progress: Progress) -> str:
    console = make_console(width=120, terminal=True)
    console.print(progress._draw())
    return written(console)


def test_what_failed_is_red(clock: Clock, terminal: Console) -> None:
    with make_progress(terminal) as progress:
        progress.start_trial()
        progress.end_trial("failed")
        (failed,) = (part for part in progress._list_parts() if "failed" in part.plain)
    assert failed.style == "red"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_that_a_run_was_asked_to_end_is_said_once_and_at_once(is_terminal: bool, clock: Clock) -> None:
    console = make_console(terminal=is_terminal)
    with make_progress(console) as progress:
        progress.say_stopping()
        progress.say_stopping()
        for thread in threading.enumerate():
            if thread.name == "stopping":
                thread.join()
        said = draw(progress) if is_terminal else written(console)
    assert said.count("Stopping: ") == 1


def test_a_course_of_values_in_blocks() -> None:
    assert sparkline([1.0, 2.0, 8.0]) == "▁▂█"
    assert sparkline([3.0, 3.0]) == "▁▁"
    assert len(sparkline([float(i) for i in range(99)])) == 16
