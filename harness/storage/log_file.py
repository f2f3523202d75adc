"""A log in a file, which is the least of what a full disk loses."""

import logging
from contextlib import suppress


class LogFile(logging.FileHandler):
    """Loses what does not fit, without a word and without an error: whoever logs has more to say of a full disk."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Do nothing, where logging itself would print a traceback."""

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):
            super().close()
