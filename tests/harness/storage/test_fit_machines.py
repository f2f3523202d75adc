"""Which machines can train into a bucket: not one without room, but one whose bucket is silent for a moment."""

import shutil
import tempfile
import time
from types import SimpleNamespace
from typing import Any

import obstore
import pytest

from harness.storage.bucket import find_fault, open_place
from harness.storage.objects import CHECK_SECONDS, PATIENCE_SECONDS
from harness.tune.driver import JOIN_SECONDS, Driver, UnfitError
from harness.tune.failures import MAX_FORGIVEN
from tests.s3 import share

REQUESTS = ("put", "get", "list_with_delimiter", "delete")


@pytest.fixture
def mark(address: str) -> str:
    place = open_place(address)
    return place.name(share(place, "study/.mark"))


def silence(monkeypatch: pytest.MonkeyPatch, asked: str, seconds: float) -> None:
    """Let requests of a kind fail for so long."""
    act, until = getattr(obstore, asked), time.monotonic() + seconds

    def ask(*given: Any, **options: Any) -> Any:
        if time.monotonic() < until:
            raise OSError("503 Service Unavailable")
        return act(*given, **options)

    monkeypatch.setattr(obstore, asked, ask)


@pytest.mark.parametrize("asked", REQUESTS)
def test_a_machine_whose_bucket_is_busy_for_a_moment_can_train(
    mark: str, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    silence(monkeypatch, asked, 0.3)
    assert find_fault(mark) == ""


def test_a_process_waits_longer_than_a_machine_that_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, float]] = []

    def note(mark: str, patience: float) -> str:
        asked.append((mark, patience))
        return ""

    monkeypatch.setattr("harness.tune.driver.find_fault", note)
    Driver.here(mark="s3://bucket/.mark").join()
    assert asked == [("s3://bucket/.mark", JOIN_SECONDS)]
    assert JOIN_SECONDS > CHECK_SECONDS
    assert JOIN_SECONDS * MAX_FORGIVEN > PATIENCE_SECONDS


def test_a_process_whose_bucket_stays_silent_is_unfit(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.tune.driver.JOIN_SECONDS", 0.3)
    silence(monkeypatch, "put", 100.0)
    with pytest.raises(UnfitError, match=r"cannot use .*: the bucket does not answer"):
        Driver.here(mark=mark).join()


def test_a_machine_without_room_for_its_trials_is_one_sentence(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3_000_000))
    folder = tempfile.gettempdir()
    assert find_fault(mark).startswith(f"cannot use {folder}: 3 MB free, but this study needs about 64 MB; free some")
    assert find_fault(mark).endswith(" with TMPDIR")

    def refuse() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", refuse)
    assert find_fault(mark).startswith("cannot use any temporary folder; free some space, or set TMPDIR")
