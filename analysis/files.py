"""Files that are either whole or not there. For `harness`, too: this module needs the standard library alone."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path


def write_atomically(path: Path, write: Callable[[Path], object], *, is_durable: bool = True) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it: readers see the old file or the new one.

    is_durable: also after a power cut; a copy of what is kept elsewhere need not be.

    Raises:
        OSError: it cannot be written; its `filename` says what.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{path.suffix}")
    temporary.touch(exist_ok=False)  # with the rights that the user's umask leaves; a file of tempfile's is private
    try:
        write(temporary)
        if is_durable:
            with temporary.open("rb") as file:  # on the disk before it takes the name
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.errno is not None:  # else its own words are all that it has
            error.filename = error.filename or str(path)  # writing to an open file names none
        raise
    finally:
        temporary.unlink(missing_ok=True)
