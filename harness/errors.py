"""The one exception that means: the user can mend this."""


class InputError(ValueError):
    """Input that the user can mend.

    The message is one sentence that names the file, the field and the fix. The command line prints it
    without a traceback and exits with status 2. Whatever the input smuggles into it, it stays one printable line.
    """

    def __init__(self, message: str) -> None:
        super().__init__("".join(c if c.isprintable() else " " for c in message))
