"""A small forest plot: intervals beside what was claimed of them, as SVG for the page."""

import html
import math
from collections.abc import Callable, Sequence

from analysis.claims import Part
from analysis.claims.summary import format_criterion, format_part

WIDTH, HEIGHT, MARGIN = 150.0, 18.0, 5.0  # CSS pixels
FAR = 6.0  # so many times the median interval ends the axis: longer ones are cut there


def find_axis(parts: Sequence[Part]) -> tuple[float, float]:
    """The ends of an axis that these parts share: means and thresholds lie on it, and all but the longest intervals."""
    shown = [part for part in parts if math.isfinite(part.mean)]
    points = [end for part in shown for end in (part.mean, *_bounds(part))]
    if not points:
        return 0.0, 1.0
    sizes = sorted(part.high - part.low for part in shown if math.isfinite(part.high - part.low))
    reach = FAR * sizes[len(sizes) // 2] if sizes else 0.0
    low, high = min(points), max(points)
    ends = [end for part in shown for end in (part.low, part.high) if math.isfinite(end)]
    low = max(min([low, *ends]), low - reach)
    high = min(max([high, *ends]), high + reach)
    return (low, high) if high > low else (low - 1.0, high + 1.0)


def draw_forest(part: Part, axis: tuple[float, float]) -> str:
    """The interval of a part; what is claimed of it is shaded. Hovering shows its numbers."""
    if not math.isfinite(part.mean):
        return ""
    low, high = axis

    def place(value: float) -> float:
        share = (min(max(value, low), high) - low) / (high - low)
        return round(MARGIN + share * (WIDTH - 2 * MARGIN), 1)

    left, right = _claimed(part, place)
    middle = HEIGHT / 2
    marks = [f'<rect class="claimed" x="{left:g}" y="0" width="{max(0.0, right - left):g}" height="{HEIGHT:g}"/>']
    marks += [f'<path class="threshold" d="M{place(bound):g} 0V{HEIGHT:g}"/>' for bound in _bounds(part)]
    if math.isfinite(part.high - part.low):
        marks.append(f'<path class="interval" d="M{place(part.low):g} {middle:g}H{place(part.high):g}"/>')
    marks.append(f'<circle cx="{place(part.mean):g}" cy="{middle:g}" r="3.2"/>')
    told = html.escape(f"{part.name}: {format_part(part)}; claimed {format_criterion(part.criterion)}")
    return (
        f'<svg class="forest {part.outcome}" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" width="{WIDTH:g}" height="{HEIGHT:g}" '
        f'role="img" aria-label="{told}"><title>{told}</title>{"".join(marks)}</svg>'
    )


def _bounds(part: Part) -> tuple[float, ...]:
    """The thresholds of what is claimed."""
    test, threshold = part.criterion
    return (-threshold, threshold) if test == "equivalent" else (threshold,)


def _claimed(part: Part, place: Callable[[float], float]) -> tuple[float, float]:
    """From where to where the shading goes."""
    test, threshold = part.criterion
    if test == "equivalent":
        return place(-threshold), place(threshold)
    return (place(threshold), WIDTH) if test == "greater" else (0.0, place(threshold))
