"""Consoles, on which no text but rich's own moves the cursor, sets a title or changes what was printed before."""

import re
from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Characters that terminals obey, such as ESC, and those that turn the direction of writing."""


def make_console(*, stderr: bool = False) -> Console:
    """Make a console on standard output, or on standard error."""
    return _Console(stderr=stderr, highlight=False, markup=False)


def clean(text: str) -> str:
    """Text that steers no terminal."""
    return STEERING.sub("", text)


class _Console(Console):
    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Render all that is printed. What results hold, as errors of trials do, may come from anybody."""
        for segment in super().render(renderable, options):
            if segment.control or not STEERING.search(segment.text):  # colours and links are no text by now
                yield segment
            else:
                yield Segment(clean(segment.text), segment.style)
