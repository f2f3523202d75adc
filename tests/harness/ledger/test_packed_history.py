import random
import sys
from typing import Any

import pytest

from harness.ledger.packed_history import PackedHistory
from harness.ledger.result import Result, Row

RANDOM = random.Random(0)
ROWS: list[Row] = [
    {"epoch": epoch, "step": 2**60 + epoch, "val/elbo": None, "seconds": 0.1}
    | {f"train/{i}": RANDOM.gauss(0, 1e-3) for i in range(20)}
    for epoch in range(1, 51)
]


def test_packed_rows_are_the_rows_to_the_bit() -> None:
    packed = PackedHistory(ROWS)
    for row, expected in zip(packed, ROWS, strict=True):
        assert row == expected
        assert [type(value) for value in row.values()] == [type(value) for value in expected.values()]
    assert (packed[-1], packed[3:5], len(packed)) == (ROWS[-1], ROWS[3:5], 50)
    assert list(reversed(packed)) == ROWS[::-1]


@pytest.mark.parametrize("rows", [[], ROWS[:1], ROWS])
def test_a_result_is_the_same_packed(rows: list[Row]) -> None:
    plain, packed = Result(status="finished", history=rows), Result(status="finished", history=PackedHistory(rows))
    assert plain == packed
    assert packed == plain
    assert packed != Result(status="finished", history=[*rows, {"epoch": 51}])
    assert (plain.train_seconds, plain.last_value("train/3")) == (packed.train_seconds, packed.last_value("train/3"))


def measure_rows(rows: Any) -> int:
    return sum(sys.getsizeof(row) + sum(map(sys.getsizeof, row.values())) for row in rows)


def test_packed_rows_take_a_fraction_of_the_memory() -> None:
    packed = PackedHistory(ROWS)
    assert sys.getsizeof(packed._packed) < measure_rows(ROWS) / 5
