"""Errors in words. Loads nothing, so that a command line can catch them at no cost."""


class AnalysisError(ValueError):
    """A file that cannot be used; the message is one sentence that names the file and the fix."""


def describe_error(error: Exception) -> str:
    """Describe an error that nobody foresaw, on one line: its type and the beginning of its message."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
