"""Parts of the page that fail alone: what went wrong is said where the part would stand, and all else is shown."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from analysis.errors import AnalysisError, describe_error


class Texts(Protocol):
    """A list that takes Markdown, whatever else it holds."""

    def append(self, text: str, /) -> None:
        """Add a paragraph."""


class Guard:
    """Notes the errors in making parts of the page."""

    def __init__(self, tell: Callable[[str], None] = lambda _: None) -> None:
        """tell: called with a sentence for each part that could not be made."""
        self.tell = tell

    @contextmanager
    def part(self, what: str, parts: Texts) -> Iterator[None]:
        """Make a part; whatever goes wrong, a paragraph that says so is added to `parts` in its place.

        what: the part, as readers call it.
        """
        try:
            yield
        except Exception as error:
            why = str(error) if isinstance(error, AnalysisError) else f"an error in making it ({describe_error(error)})"
            self.tell(f"{what}: {why}")
            parts.append(f"**Missing:** {what}, {why}")
