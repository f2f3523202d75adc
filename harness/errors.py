"""Errors of users, which are one sentence each, and the first line of any other error."""

import re

MAX_LINE = 300  # characters

SECRET = re.compile(
    r"(?<=://)(?!/)[^\s\"'<>]*@|(?<=[?&;])([\w-]*(?:passw|secret|token|key|sig)[\w-]*=)[^\s\"'<>&;]*", re.IGNORECASE
)
"""What may be a secret in an address: the user's name and password, and values of queries."""


def hide_secrets(text: str) -> str:
    """The text without passwords in addresses: all that is printed, logged, raised or stored goes through here."""
    return SECRET.sub(lambda found: f"{found[1]}***" if found[1] else "***@", text)


class InputError(ValueError):
    """An error in input that the user can fix.

    The message is one sentence that names the file, the field and the fix. The command line prints it
    without a traceback and exits with status 2. It stays one printable line, whatever characters the input contains.
    """

    def __init__(self, message: str) -> None:
        super().__init__("".join(c if c.isprintable() else " " for c in hide_secrets(message)))


def first_line(error: BaseException) -> str:
    """The first line of an error's message, without secrets; the error's type where it has no message."""
    return (hide_secrets(str(error)).strip().splitlines() or [type(error).__name__])[0][:MAX_LINE]
