"""The one exception that means that the user can mend this, and how an error of a library becomes one line."""

MAX_LINE = 300  # characters


class InputError(ValueError):
    """Input that the user can mend.

    The message is one sentence that names the file, the field and the fix. The command line prints it
    without a traceback and exits with status 2. Whatever the input smuggles into it, it stays one printable line.
    """

    def __init__(self, message: str) -> None:
        super().__init__("".join(c if c.isprintable() else " " for c in message))


def first_line(error: BaseException) -> str:
    """The first line of an error's message; the error's type where it has no message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:MAX_LINE]
