"""The digits, and databases that are quick."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, event

from harness.datasets import Dataset, load_dataset


@pytest.fixture(scope="package")
def dataset() -> Dataset:
    return load_dataset("digits")


@pytest.fixture(autouse=True, scope="package")
def hasty_sqlite() -> Iterator[None]:
    """Databases of these tests need not outlive a power cut."""

    def hurry(connection: Any, _: object) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    event.listen(Engine, "connect", hurry)
    yield
    event.remove(Engine, "connect", hurry)
