"""Paths that a user gives, the text of files there, and the files of locks."""

import errno
import os
import re
from pathlib import Path
from typing import IO

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


def user_cache() -> Path:
    """The user's cache folder of spikeslab; it need not exist yet.

    Raises:
        InputError: the user has no home.
    """
    import platformdirs

    try:
        return platformdirs.user_cache_path("spikeslab")
    except RuntimeError:
        raise InputError("no home of this user is known; set HOME or XDG_CACHE_HOME to a folder") from None


def read_text(path: Path, fix: str, *, option: str = "") -> str:
    """Read the text of a user's file, with or without the mark that some editors put before UTF-8.

    fix: what to do where there is none to be read. option: that gave the path, if one did.

    Raises:
        InputError: it cannot be read.
    """
    named = f"{option} {path}".lstrip()
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{named}: cannot be read (it is not UTF-8 text); save it as UTF-8") from None
    except (OSError, ValueError) as error:  # a name that no file can have is a ValueError
        reason = error.strerror if isinstance(error, OSError) else "no name of a file"
        raise InputError(f"{named}: cannot be read ({reason}); {fix}") from None


def open_lock(path: Path) -> IO[str]:
    """Open a file that is locked, or make it. What it holds stays, as does what a link of its name would point to.

    Raises:
        InputError: it is a link, which whoever gave us the folder may have put there.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.fdopen(os.open(path, flags, 0o666), "w")  # as NFS locks only what is open for writing
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise InputError(f"{path}: is a link, but a lock has to be a file of its own; delete the link") from None
