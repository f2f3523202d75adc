"""Signals that ask to end: the first is noted, its echo too, a later one ends at once."""

import signal
from collections.abc import Iterator

import pytest

from harness import interruption
from harness.interruption import ENDINGS, Interrupted, keeping_handlers, on_endings, raise_interrupted


@pytest.fixture(autouse=True)
def kept() -> Iterator[None]:
    with keeping_handlers():
        yield


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_signal_is_noted_once_and_its_echo_is_none(ending: signal.Signals) -> None:
    noted: list[int] = []
    with on_endings(noted.append):
        signal.raise_signal(ending)
        signal.raise_signal(ending)
    assert noted == [ending]


def test_a_second_wish_ends_at_once_with_the_status_that_shells_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruption, "ECHO_SECONDS", -1.0)
    with on_endings(lambda _: None):
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Interrupted) as ended:
            signal.raise_signal(signal.SIGTERM)
    assert ended.value.code == 143


def test_a_limit_of_cpu_time_that_is_passed_again_and_again_is_one_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruption, "ECHO_SECONDS", -1.0)
    noted: list[int] = []
    with on_endings(noted.append):
        for _ in range(3):
            signal.raise_signal(signal.SIGXCPU)
    assert noted == [signal.SIGXCPU]


def test_what_was_ignored_stays_ignored() -> None:
    """Under nohup, and in a shell's background."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with on_endings(raise_interrupted):
        signal.raise_signal(signal.SIGHUP)


def test_handlers_of_libraries_do_not_stay() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with keeping_handlers():
        signal.signal(signal.SIGTERM, lambda *_: None)  # as ray.init does
    assert signal.getsignal(signal.SIGTERM) is before
