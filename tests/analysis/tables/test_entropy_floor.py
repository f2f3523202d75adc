"""The entropy of grey pixels: found in the tables, drawn as an axis, said in captions and given in tables."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from analysis.drawing.caption import floor_note
from analysis.figures import elbo_by_latent_dim, relaxed_elbo_by_latent_dim
from analysis.report.numbers import tabulate_numbers
from analysis.tables.entropy_floor import find_floor
from tests.analysis.axes import make_axes
from tests.analysis.synthetic import SyntheticStudy

FIGURES = [elbo_by_latent_dim, relaxed_elbo_by_latent_dim]


def with_floors(*floors: float, **changes: str) -> SyntheticStudy:
    """A VAE at two lengths for each floor, which is NaN where it was not measured."""
    study = SyntheticStudy()
    for seed, floor in enumerate(floors):
        for epochs in (5, 10):
            study.add("vae", 8, seed, epochs=epochs, **(changes if seed else {}))
            study.trials[-1]["test/entropy_floor"] = floor
    return study


@pytest.mark.parametrize(
    ("floors", "changes", "expected"),
    [
        ((45.53, 45.53), {}, 45.53),
        ((45.53, np.nan), {}, 45.53),  # measured before there was a floor
        ((45.53, 189.86), {}, np.nan),
        ((45.53, np.nan), {"dataset": "fashion-mnist"}, np.nan),
        ((45.53, np.nan), {"pixel_scaling": "unit_norm"}, np.nan),
        ((np.nan,), {}, np.nan),
    ],
)
def test_trials_have_a_floor_if_it_is_one(floors: list[float], changes: dict[str, str], expected: float) -> None:
    trials = with_floors(*floors, **changes).tables().trials
    assert find_floor(trials) == pytest.approx(expected, nan_ok=True)


def test_a_table_written_before_there_was_a_floor_has_none(quickstart: SyntheticStudy) -> None:
    assert np.isnan(find_floor(quickstart.tables().trials))


@pytest.mark.parametrize("figure", FIGURES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_an_axis_on_the_right_reads_bounds_as_nats_above_it(figure: object) -> None:
    frame = figure.FIGURE.compute(with_floors(10.0, 10.0).tables())  # type: ignore[attr-defined]
    axes = make_axes()
    figure.FIGURE.plot(frame, axes)  # type: ignore[attr-defined]
    ax = axes[0, 0]
    (right,) = ax.child_axes
    assert right.get_ylabel() == "nats above the pixels' own entropy"
    ax.set_ylim(-40, -30)
    FigureCanvasAgg(ax.figure).draw()
    for bound, nats in ((-40, 30), (-35, 25), (-30, 20)):
        assert right.transData.transform((0, nats))[1] == pytest.approx(ax.transData.transform((0, bound))[1])


@pytest.mark.parametrize("floor", [0.0, np.nan])
def test_none_is_drawn_where_pixels_are_binary_or_nothing_is_known(floor: float) -> None:
    frame = elbo_by_latent_dim.compute(with_floors(floor, floor).tables())
    ax = make_axes()[0, 0]
    elbo_by_latent_dim.plot(frame, ax)
    assert not ax.child_axes
    assert floor_note(frame) == ""
    assert "entropy" not in tabulate_numbers(frame)


def test_a_caption_says_what_the_bound_is_of_and_a_table_how_far_above_it_lies() -> None:
    frame = pd.DataFrame({"latent_dim": [8, 16], "mean": [-100.0, -95.5], "low": -1.0, "high": 1.0, "floor": 45.534})
    assert "pseudo-likelihood: their own entropy, 45.53 nats per image" in floor_note(frame)
    head, _, first, second = tabulate_numbers(frame.assign(n=3)).splitlines()
    assert "| above the pixels' entropy |" in head
    assert "| 54.47 |" in first
    assert "| 49.97 |" in second
