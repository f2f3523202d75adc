"""Paths that nobody gave."""

import pwd

import pytest

from harness.cluster.greeting import keep_token
from harness.errors import InputError
from harness.paths import user_cache


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs under a number alone."""

    def find(_: int) -> None:
        raise KeyError("getpwuid(): uid not found")

    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", find)
    with pytest.raises(InputError, match=r"^no home of this user is known; set HOME or XDG_CACHE_HOME to a folder$"):
        user_cache()
    keep_token()  # there is none
