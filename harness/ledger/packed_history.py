"""The epochs of trials that have ended, which a driver keeps for its tables: thousands of them."""

import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

from harness.ledger.result import Row


class PackedHistory(Sequence[Row]):
    """Rows in a fifth of the memory that they take as dictionaries; they are the same rows whenever they are read.

    Reading any of them makes them all: whoever wants several takes a list.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        rows = list(rows)
        self._length = len(rows)
        self._packed = zlib.compress(json.dumps(rows).encode(), level=1)

    def _unpack(self) -> list[Row]:
        rows: list[Row] = json.loads(zlib.decompress(self._packed))
        return rows

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: Any) -> Any:
        return self._unpack()[index]

    def __iter__(self) -> Iterator[Row]:
        return iter(self._unpack())

    def __reversed__(self) -> Iterator[Row]:
        return reversed(self._unpack())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._unpack() == list(other)

    __hash__ = None  # type: ignore[assignment]  # as lists have none
