"""The one exception that means: the user can mend this."""


class InputError(ValueError):
    """Input that the user can mend.

    The message is one sentence that names the file, the field and the fix. The command line prints it
    without a traceback and exits with status 2.
    """
