"""Errors of users, which are one sentence each, and the first line of any other error."""

MAX_LINE = 300  # characters


class InputError(ValueError):
    """An error in input that the user can fix.

    The message is one sentence that names the file, the field and the fix. The command line prints it
    without a traceback and exits with status 2. It stays one printable line, whatever characters the input contains.
    """

    def __init__(self, message: str) -> None:
        super().__init__("".join(c if c.isprintable() else " " for c in message))


def first_line(error: BaseException) -> str:
    """The first line of an error's message; the error's type where it has no message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:MAX_LINE]
