"""The figures of disentanglement: which rows there are, how scores are scaled, what is drawn."""
# ruff: noqa: RUF001  (Greek letters, meant as such)

import numpy as np
import pandas as pd
import pytest

from analysis.drawing.caption import floor_note
from analysis.figures import disentanglement_by_sparsity, disentanglement_scores, learning_curves
from analysis.tables import Tables
from analysis.tables.disentanglement import SCORES, scale_score
from analysis.tables.series import NothingToDrawError
from tests.analysis.axes import make_axes
from tests.analysis.disentangled_study import CEILING, FLOOR, make_study

NAMES = [
    "FactorVAE, latent dimension = 10, TC weight = 10",
    "FactorVAE, latent dimension = 10, TC weight = 40",
    "VAE, latent dimension = 10",
    "VAE, β = 4, latent dimension = 10",
    "VSC, α = 0.01, latent dimension = 10",
    "VSC, α = 0.01, latent dimension = 100",
    "VSC, α = 0.1, latent dimension = 10",
    "VSC, α = 0.1, latent dimension = 100",
]


def test_each_configuration_is_a_row_named_by_what_sets_it_apart_dense_models_first() -> None:
    frame = disentanglement_scores.compute(make_study().tables())
    assert list(frame["configuration"].cat.categories) == NAMES
    assert frame["score"].nunique() == len(SCORES) == 12
    axes = make_axes(*disentanglement_scores.shape(frame))
    disentanglement_scores.plot(frame, axes)
    assert axes.shape == (4, 3)
    assert [label.get_text() for label in axes[0, 0].get_yticklabels()] == NAMES
    assert axes[0, 0].get_xlabel() == "FactorVAE score"
    assert "3 seeds" in disentanglement_scores.note(frame)


def test_scores_stand_with_mean_interval_floor_and_ceiling_and_every_seed_is_a_dot() -> None:
    frame = disentanglement_scores.compute(make_study(("mig",)).tables())
    vsc = frame[frame["configuration"] == NAMES[-1]]
    assert vsc["value"].tolist() == pytest.approx([0.4, 0.42, 0.44])
    first = vsc.iloc[0]
    assert first["mean"] == pytest.approx(0.42)
    assert first["high"] - first["mean"] == pytest.approx(4.303 * 0.02 / 3**0.5, rel=1e-3)
    assert floor_note(frame) == "", "the score of noise is no entropy of pixels"
    assert (first["noise"], first["ceiling"]) == pytest.approx((FLOOR, CEILING))
    axes = make_axes(*disentanglement_scores.shape(frame))
    disentanglement_scores.plot(frame, axes)
    (bar, *others) = axes[0, 0].patches
    assert (bar.get_x(), bar.get_width()) == pytest.approx((FLOOR, CEILING - FLOOR))
    assert len(others) == len(NAMES) - 1
    assert sum(len(line.get_xdata()) for line in axes[0, 0].lines) == 3 * len(NAMES)


def test_by_sparsity_scores_go_from_noise_to_perfect_codes() -> None:
    study = make_study(("mig", "factor_vae"))
    frame = disentanglement_by_sparsity.compute(study.tables())
    assert list(dict.fromkeys(frame["score"])) == ["factor_vae", "mig"]
    mig = frame[(frame["score"] == "mig") & (frame["seed"] == 0)].set_index("configuration")
    assert mig["value"][NAMES[-1]] == pytest.approx((0.4 - FLOOR) / (CEILING - FLOOR))
    assert mig["nonzero_fraction"][NAMES[2]] == 1
    assert mig["nonzero_fraction"][NAMES[5]] < 0.1
    axes = make_axes(*disentanglement_by_sparsity.shape(frame))
    disentanglement_by_sparsity.plot(frame, axes)
    assert [text.get_text() for text in axes[0, -1].get_legend().get_texts()] == NAMES
    assert axes[0, 0].get_xscale() == "log"
    assert axes[0, 0].get_xlabel() == "share of latents that are not zero"


def test_learning_curves_are_of_the_bound_by_step_whatever_was_trained_on() -> None:
    study = make_study(("mig",))
    frame = learning_curves.compute(study.tables())
    assert list(dict.fromkeys(frame["panel"])) == ["elbo", "train/rate", "train/total_correlation"]
    of_first = [history for history in study.history if history["trial_id"].iloc[0] in ("t00000", "t00008", "t00016")]
    own = frame[(frame["panel"] == "elbo") & (frame["configuration"] == NAMES[2])].sort_values("step")
    expected = np.mean([-(h["train/rate"] + h["train/distortion"]) for h in of_first], axis=0)
    np.testing.assert_allclose(own["mean"], expected)
    assert own["step"].tolist() == [50 * epoch for epoch in range(1, 31)]
    assert set(frame.loc[frame["panel"] == "train/total_correlation", "configuration"]) == set(NAMES[:2])
    axes = make_axes(*learning_curves.FIGURE.shape(frame))
    learning_curves.plot(frame, axes)
    assert axes[0, 0].get_xlabel() == "steps of training"
    assert [text.get_text() for text in axes[0, -1].get_legend().get_texts()] == NAMES
    assert "training ended after 1,500 steps" in learning_curves.note(frame)


def test_models_of_pseudo_inputs_have_no_learning_curve_of_a_bound() -> None:
    study = make_study(("mig",))
    assert "no bound: none" not in learning_curves.note(learning_curves.compute(study.tables()))
    for seed in range(3):
        study.add("vsc_uai_paper", 10, seed, 0.1)
    frame = learning_curves.compute(study.tables())
    name = "VSC (UAI, paper), latent dimension = 10"
    assert set(frame.loc[frame["panel"] == "elbo", "configuration"]) == set(NAMES)
    assert set(frame.loc[frame["panel"] == "train/rate", "configuration"]) == {*NAMES, name}
    axes = make_axes(*learning_curves.FIGURE.shape(frame))
    learning_curves.plot(frame, axes)
    assert {text.get_text() for text in axes[0, -1].get_legend().get_texts()} == {*NAMES, name}
    assert "What a VSC (UAI, paper) is trained on is no bound: none is drawn of it." in learning_curves.note(frame)


def test_tables_that_cannot_support_a_figure_are_refused() -> None:
    tables = make_study(()).tables()
    for figure in (disentanglement_scores, disentanglement_by_sparsity):
        with pytest.raises(NothingToDrawError, match="no finished trial has a disentanglement score"):
            figure.compute(tables)
    dense = Tables(tables.trials[tables.trials["model"] == "vae"], tables.history)
    with pytest.raises(NothingToDrawError, match="all codes are equally sparse"):
        disentanglement_by_sparsity.compute(dense)
    with pytest.raises(NothingToDrawError, match="no steps"):
        learning_curves.compute(Tables(tables.trials, pd.DataFrame({"trial_id": [], "epoch": []})))
    with pytest.raises(NothingToDrawError, match="all trials are trained on the bound"):
        learning_curves.compute(Tables(tables.trials, tables.history.drop(columns="train/total_correlation")))
    with pytest.raises(NothingToDrawError, match="one seed each"):
        learning_curves.compute(make_study((), seeds=1).tables())


def test_a_score_whose_floor_is_as_high_as_its_ceiling_is_not_scaled() -> None:
    """As InfoM's is with one active latent: noise there scores as perfect codes do."""
    trials = pd.DataFrame(
        {
            "status": "finished",
            "disentanglement/info_modularity": [0.9, 0.9],
            "disentanglement/info_modularity_floor": [0.6, 0.999],
            "disentanglement/info_modularity_ceiling": [1.0, 1.0],
        }
    )
    scaled = scale_score(trials, "info_modularity")
    assert scaled is not None
    assert scaled[0] == pytest.approx(0.75)
    assert np.isnan(scaled[1])


@pytest.mark.parametrize(("seeds", "num_bands"), [(4, 0), (5, len(NAMES))])
def test_a_band_needs_five_seeds(seeds: int, num_bands: int) -> None:
    frame = learning_curves.compute(make_study((), seeds=seeds).tables())
    axes = make_axes(*learning_curves.FIGURE.shape(frame))
    learning_curves.plot(frame, axes)
    assert len(axes[0, 0].collections) == num_bands
