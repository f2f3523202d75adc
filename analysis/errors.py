"""What is wrong with a file that was given to read. Loads nothing, so that a command line can catch it at no cost."""


class AnalysisError(ValueError):
    """A file that cannot be used; the message is one sentence that names the file and the fix."""
