"""The layout that every figure has."""

import contextlib
import re
import zlib
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from analysis.drawing.figure import Figure, draw
from analysis.drawing.lines import legend_beside
from analysis.figures.draw import FIGURES
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


@pytest.mark.parametrize(("panels", "expected"), [([0, 1, 1], (1, 2)), ([0, 1, 2, 3], (2, 3))])
def test_a_figure_that_names_no_shape_has_the_panels_of_its_frame_three_to_a_row(
    panels: list[int], expected: tuple[int, int]
) -> None:
    figure = Figure(title="", compute=lambda tables: tables.trials, plot=lambda *_: None)
    assert figure.shape(pd.DataFrame({"panel": panels})) == expected
    assert figure.shape(pd.DataFrame({"mean": panels})) == (1, 1)


def read_pdf(content: bytes) -> tuple[float, float, str]:
    """The width and the height of a PDF in inches, and its text."""
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", content)
    assert box
    pages = [
        zlib.decompress(stream)
        for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", content, re.DOTALL)
        if stream.startswith(b"x")
    ]
    content = b"".join(page for page in pages if b"\nBT\n" in page)
    text = b"".join(re.findall(rb"\(((?:\x00(?:\\.|[^\\]))+)\)", content))  # two bytes a letter
    return float(box[1]) / 72, float(box[2]) / 72, text.replace(b"\x00", b"").decode("latin-1")


def test_a_bare_figure_has_no_title_and_no_caption_and_is_smaller(quickstart: SyntheticStudy, tmp_path: Path) -> None:
    figure = FIGURES["elbo_by_latent_dim"]
    read = {}
    for is_bare in (False, True):
        drawn = draw("it", figure, quickstart.tables(), tmp_path, formats=["pdf"], is_bare=is_bare)
        assert [file.name for file in drawn.files] == ["it.pdf", "it.csv"]
        read[is_bare] = read_pdf(drawn.files[0].read_bytes())
    (width, height, text), (bare_width, bare_height, bare) = read.values()
    assert bare_width < width - 2
    assert bare_height < height
    assert figure.title in text
    assert "over seeds" in text
    assert figure.title not in bare
    assert "over seeds" not in bare
    assert "latent dim" in bare
    assert "VAE" in bare


def test_the_tutorial_draws_a_figure_from_its_numbers(quickstart: SyntheticStudy, tmp_path: Path) -> None:
    draw(
        "elbo_by_latent_dim", FIGURES["elbo_by_latent_dim"], quickstart.tables(), tmp_path / "results/my-study/figures"
    )
    tutorial = (Path(__file__).parents[3] / "docs" / "tutorial.md").read_text()
    (script,) = (text for text in re.findall(r"```python\n(.*?)```", tutorial, re.DOTALL) if "pyplot" in text)
    with contextlib.chdir(tmp_path), mpl.rc_context():
        exec(script, {})
        plt.close("all")
        width, _, text = read_pdf(Path("elbo.pdf").read_bytes())
    assert width == pytest.approx(3.25, abs=0.01)
    assert "test ELBO" in text


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
        "panel 2: reached 2",
        "the same in both",
    ]
