"""The example of docs/plugin-example in a folder of its own, to be changed and read."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import Study
from harness.datasets import identify_dataset
from harness.errors import InputError
from harness.ledger.trial import Trial
from harness.plugins.use import use_plugins
from harness.search.grid_and_random import plan_trials
from tests.e2e.conftest import REPOSITORY

EXAMPLE = REPOSITORY / "docs" / "plugin-example"


@pytest.fixture(autouse=True)
def none_left() -> Iterator[None]:
    yield
    use_plugins(())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The example in a folder of its own."""
    shutil.copytree(EXAMPLE, tmp_path / "example", ignore=shutil.ignore_patterns("__pycache__", "results"))
    return tmp_path / "example"


def read(folder: Path) -> Study:
    return Study.from_file(folder / "laplace.yaml")


def trials_of(study: Any) -> list[Trial]:
    study.use_plugins()
    return plan_trials(study, identify_dataset(study.dataset))


def change(folder: Path, old: str, new: str, file: str = "my_parts.py") -> None:
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))


def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        read(folder)
    message = str(caught.value)
    assert message.isprintable()
    return message.replace(f"{folder}/", "")
