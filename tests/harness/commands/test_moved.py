"""A study whose folder is moved while it is run."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.commands.outcome import Outcome
from harness.errors import InputError
from harness.tune.study_run import StudyRun
from tests.harness.small_studies import GOOD, load


def test_the_run_ends_in_words_and_leaves_nothing_in_its_place(
    run: Callable[..., tuple[Outcome, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def move(running: StudyRun, *_: object, **__: object) -> None:
        running.folder.rename(tmp_path / "moved")

    monkeypatch.setattr("harness.tune.run.run_tune", move)
    with pytest.raises(InputError, match="demo: it was moved or deleted while it was run"):
        run(load(tmp_path, GOOD))
    assert (tmp_path / "moved" / "study.yaml").exists()
    assert not list((tmp_path / "results").glob("demo/*"))
