"""A log in a file, which is the least of what a full disk loses."""

import logging
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path

from harness.errors import hide_secrets


class LogFile(logging.FileHandler):
    """Loses what does not fit, without a word and without an error: whoever logs has more to say of a full disk."""

    def _open(self) -> TextIOWrapper:
        """Open the file; where a stranger's folder has a link of its name, what that points to is not written to."""
        path = Path(self.baseFilename)
        if path.is_symlink():
            path.unlink()
        return super()._open()

    def format(self, record: logging.LogRecord) -> str:
        """Format a record, traceback and all, without secrets."""
        return hide_secrets(super().format(record))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Do nothing, where logging itself would print a traceback."""

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):
            super().close()
