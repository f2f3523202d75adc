"""A figure of a page is in the lightest format; where that is plain, it is not drawn in the other."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure as MplFigure

from analysis.drawing import save
from analysis.drawing.save import MANY_MARKS, About, save_lightest


def draw_dots(num: int) -> MplFigure:
    sheet = MplFigure(figsize=(3, 2))
    sheet.subplots().plot(range(num), range(num), "o")
    return sheet


def test_few_marks_are_lines_that_scale(tmp_path: Path) -> None:
    assert save_lightest(draw_dots(10), tmp_path / "few", About("Dots", "Ten.")).name == "few.svg"


def test_many_marks_are_pixels_and_never_drawn_as_svg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(save, "_as_svg")
    assert save_lightest(draw_dots(MANY_MARKS), tmp_path / "many", About("Dots", "")).name == "many.png"
