"""The layout that every figure has."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes

from analysis.drawing.figure import Figure, draw
from analysis.drawing.lines import legend_beside
from tests.analysis.synthetic import SyntheticStudy


@pytest.mark.parametrize("for_page", [True, False])
def test_words_of_a_panel_stay_clear_of_its_neighbours(
    quickstart: SyntheticStudy, tmp_path: Path, for_page: bool
) -> None:
    drawn: list[Axes] = []

    def plot(_: object, axes: np.ndarray) -> None:
        for ax in axes[0]:
            ax.set_title("a measure whose name has far more letters than its panel is wide, as has happened")
            ax.set_xlabel(
                "latents that carry information\n(mean KL above 0.05 nats, over the ten thousand test images)"
            )
        drawn.extend(axes[0])

    figure = Figure(
        title="", compute=lambda tables: tables.trials, plot=plot, shape=lambda _: (1, 3), panel_size=(2.5, 3),
        note=lambda _: "",
    )  # fmt: skip
    draw("wide", figure, quickstart.tables(), tmp_path, formats=["png"], for_page=for_page)
    assert len(drawn) == 3
    for left, right in pairwise(drawn):
        for one, next_one in ((left.title, right.title), (left.xaxis.label, right.xaxis.label)):
            assert one.get_window_extent().x1 < next_one.get_window_extent().x0
    words = drawn[0].xaxis.label.get_text()
    assert "information\n(mean" in words  # a break that was there stays
    assert " ".join(words.split()) == (
        "latents that carry information (mean KL above 0.05 nats, over the ten thousand test images)"
    )


def test_what_panels_say_each_for_itself_has_their_titles_in_the_legend_above_them(
    quickstart: SyntheticStudy, tmp_path: Path
) -> None:
    drawn: list[Axes] = []

    def plot(_: object, axes: np.ndarray) -> None:
        for ax, reached in zip(axes[:, 0], (1, 2), strict=True):
            ax.set_title(f"panel {reached}")
            ax.plot([0, 1], label=f"reached {reached}")
            ax.plot([1, 0], label="the same in both")
            legend_beside(ax)
            drawn.append(ax)

    figure = Figure(
        title="", compute=lambda tables: tables.trials, plot=plot, shape=lambda _: (2, 1), note=lambda _: ""
    )
    draw("two", figure, quickstart.tables(), tmp_path, for_page=True)
    assert [ax.get_legend() for ax in drawn] == [None, None]
    sheet = drawn[0].get_figure(root=True)
    assert sheet is not None
    [legend] = sheet.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "panel 1: reached 1",
        "the same in both",
        "panel 2: reached 2",
    ]
