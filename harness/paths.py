"""Paths that a user gives."""

import os
import re
from pathlib import Path

from harness.errors import InputError


def parse_path(text: str | os.PathLike[str]) -> Path:
    """The path that is meant: a shell expands no ~ behind `=`, in quotes or in a variable.

    Raises:
        InputError: it is empty, an address, or names the home of a user who is none.
    """
    if not os.fspath(text).strip():
        raise InputError("an empty path; name a file or a folder, or leave the option out")
    if re.match(r"[A-Za-z][\w+.-]*://", os.fspath(text)):  # which would be a folder of the name s3:
        raise InputError(f"{text}: an address, not a path; give a folder, such as one where a bucket is mounted")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise InputError(f"{text}: no home of that user; write the path in full") from None
