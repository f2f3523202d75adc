# ruff: noqa: RUF001  (a Greek letter, meant as one)

import numpy as np
import pytest

from analysis.drawing.style import MODEL_COLOURS
from analysis.figures.probe_controls import INPUTS, compute, note, plot, shape
from analysis.tables.series import NothingToDrawError
from tests.analysis.axes import make_axes
from tests.analysis.synthetic import SyntheticStudy, with_probe_controls


@pytest.fixture
def study() -> SyntheticStudy:
    study = SyntheticStudy()
    study.grid([0.1], [8, 32], seeds=2)
    return with_probe_controls(study)


def test_each_probe_and_series_has_a_panel_with_a_line_per_input_that_it_has(study: SyntheticStudy) -> None:
    frame = compute(study.tables())
    assert shape(frame) == (2, 2)
    axes = make_axes(2, 2)
    plot(frame, axes)
    assert [[len(ax.lines) for ax in row] for row in axes] == [[3, 5], [3, 5]]  # a VAE has no gates
    assert axes[1, 1].get_title() == "VSC, α = 0.1,\nlogistic regression, all labels"
    labels = [text.get_text() for text in axes[0, 1].get_legend().get_texts()]
    assert labels == [
        "μ of all latents",
        "μ of the latents that are ever on",
        "μ of those never on",
        "hidden layer, projected at random",
        "μ by the untrained encoder",
    ]
    assert axes[0, 0].get_ylabel() == "test accuracy (%)"


def test_means_are_over_seeds(study: SyntheticStudy) -> None:
    for trial, accuracy in zip(study.trials, [np.nan, 0.8, np.nan, 0.9] + 4 * [np.nan], strict=True):
        trial["probe/linear_mu_off_all_accuracy"] = accuracy
    frame = compute(study.tables())
    (row,) = frame[frame["input"].eq("mu_off") & frame["probe"].str.startswith("log")].to_dict("records")
    assert (row["model"], row["latent_dim"], row["n"]) == ("vsc", 8, 2)
    assert row["mean"] == pytest.approx(0.85)


def test_runs_in_which_a_logit_died_are_left_out_and_counted(study: SyntheticStudy) -> None:
    note_of_all = note(compute(study.tables()))
    assert "logit" not in note_of_all
    for trial in study.trials:
        trial["probe/report_coded_mu_5k_dead_logits"] = float(trial["model"] == "vae" and trial["seed"] == 1)
    frame = compute(study.tables())
    first = frame[frame["input"].eq("mu") & frame["probe"].str.startswith("as the report")]
    assert first.groupby("model")["n"].unique().map(list).to_dict() == {"vae": [1], "vsc": [2]}
    assert f"Left out: 2 of {len(study.trials)} runs of the report's classifier, in which a logit died." in note(frame)


def test_no_input_has_the_colour_of_a_model() -> None:
    assert not {look["color"] for _, look in INPUTS.values()} & set(MODEL_COLOURS.values())


def test_more_configurations_than_fit_are_a_reason() -> None:
    study = SyntheticStudy()
    study.grid([0.1, 0.2, 0.3, 0.4], [8], seeds=2)
    with pytest.raises(NothingToDrawError, match="more than 4 configurations"):
        compute(with_probe_controls(study).tables())
