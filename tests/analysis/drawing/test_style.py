from itertools import pairwise

import matplotlib as mpl
import pytest
from matplotlib.colors import to_rgb

from analysis.drawing.style import (
    MODEL_COLOURS,
    contrast_to_white,
    drawing_style,
    model_colour,
    series_colour,
    series_marker,
    text_colour,
)

NAN = float("nan")


def lightness(colour: str) -> float:
    return sum(weight * part for weight, part in zip((0.21, 0.72, 0.07), to_rgb(colour), strict=True))


def test_vae_and_vsc_have_colours_of_okabe_and_ito() -> None:
    assert (MODEL_COLOURS["vae"], MODEL_COLOURS["vsc"]) == ("#0072B2", "#D55E00")
    assert series_colour("vae", NAN) == "#0072B2"


def test_a_larger_alpha_is_lighter_so_that_tints_differ_without_colour_vision() -> None:
    tints = [lightness(series_colour("vsc", alpha)) for alpha in (0.01, 0.05, 0.2, 0.5, 0.8)]
    assert all(later - earlier > 0.03 for earlier, later in pairwise(tints))


@pytest.mark.parametrize("alphas", [(0.01, 0.2, 0.5), (0.05, 0.2, 0.5), (0.01, 0.05, 0.1, 0.2, 0.5)])
def test_the_usual_alphas_have_markers_of_their_own(alphas: tuple[float, ...]) -> None:
    assert len({series_marker(alpha) for alpha in (*alphas, NAN)}) == len(alphas) + 1


@pytest.mark.parametrize("alpha", [0.0, 1e-9, 1.0])
def test_the_ends_of_alpha_have_a_look(alpha: float) -> None:
    assert series_colour("vsc", alpha).startswith("#")
    assert series_marker(alpha)


def test_a_model_of_tomorrow_has_one_colour_everywhere() -> None:
    assert model_colour("beta-vae") == model_colour("beta-vae")
    assert model_colour("beta-vae") not in MODEL_COLOURS.values()


def test_the_style_leaves_matplotlib_as_it_was() -> None:
    def settings() -> dict[str, object]:
        return {name: mpl.rcParams[name] for name in mpl.rcParams if name != "backend"}

    with mpl.rc_context({"font.size": 3.0}):
        before = settings()
        with drawing_style():
            assert mpl.rcParams["font.size"] == 11
            assert mpl.rcParams["axes.grid"]
        assert settings() == before


@pytest.mark.parametrize("colour", ["#D55E00", "#ffffff", "#56B4E9", series_colour("vsc", 0.5)])
def test_letters_stand_out_from_the_paper(colour: str) -> None:
    assert contrast_to_white(text_colour(colour)) >= 4.5


def test_a_colour_that_stands_out_stays_and_contrast_is_that_of_the_standard() -> None:
    assert text_colour("#000000") == "#000000"
    assert contrast_to_white("#000000") == pytest.approx(21)
    assert contrast_to_white("#767676") == pytest.approx(4.54, abs=0.01)
