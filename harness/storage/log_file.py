"""A log in a file, which is the least of what a full disk loses."""

import logging
from contextlib import suppress

from harness.errors import hide_secrets


class LogFile(logging.FileHandler):
    """Loses what does not fit, without a word and without an error: whoever logs has more to say of a full disk."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record, traceback and all, without secrets."""
        return hide_secrets(super().format(record))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Do nothing, where logging itself would print a traceback."""

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):
            super().close()
