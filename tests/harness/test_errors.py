"""Errors become one line for the user."""

import pytest

from harness.errors import MAX_LINE, InputError, first_line, hide_secrets


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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://alice:s3cret@host:5000/x", "http://***@host:5000/x"),
        ("postgresql+psycopg2://u:p@ss/w@host/db", "postgresql+psycopg2://***@host/db"),
        ("https://s3cret@host", "https://***@host"),
        ("see 'mysql://u:s3cret@host/db' and \"ray://a:s3cret@b\"", "see 'mysql://***@host/db' and \"ray://***@b\""),
        ("https://host/?token=s3cret&page=1", "https://host/?token=***&page=1"),
        ("https://host/b?X-Amz-Signature=s3cret&AWSAccessKeyId=s3cret", "https://host/b?X-Amz-Signature=***&AWSAcc"),
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
        ("me@work.org, http://host/a", "me@work.org, http://host/a"),
    ],
)
def test_addresses_are_shown_without_secrets(text: str, shown: str) -> None:
    for said in (hide_secrets(text), str(InputError(text)), first_line(OSError(text))):
        assert said.startswith(shown)
        assert "s3cret" not in said
