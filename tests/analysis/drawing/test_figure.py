"""The layout that every figure has."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes

from analysis.drawing.figure import Figure, draw
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
