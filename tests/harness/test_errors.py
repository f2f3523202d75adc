"""Errors become one line for the user."""

import pytest

from harness.errors import MAX_LINE, InputError, first_line


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("one\ntwo"), "one"),
        (ValueError("\n  one"), "one"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (ValueError("x" * 10_000), "x" * MAX_LINE),
    ],
)
def test_an_error_becomes_its_first_line(error: BaseException, expected: str) -> None:
    assert first_line(error) == expected


def test_input_of_a_user_stays_one_printable_line() -> None:
    assert str(InputError("studies/\x1b[31m\nx: no such file")) == "studies/ [31m x: no such file"
