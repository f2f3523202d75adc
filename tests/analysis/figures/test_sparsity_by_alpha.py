# ruff: noqa: RUF001  (a Greek letter, meant as one)

import pytest

from analysis.figures.sparsity_by_alpha import compute, plot
from analysis.tables.series import NothingToDrawError
from tests.analysis.axes import labels, make_axes
from tests.analysis.synthetic import SyntheticStudy


def test_mean_and_interval_are_those_computed_by_hand() -> None:
    study = SyntheticStudy()
    for seed, fraction in enumerate((0.2, 0.3)):
        study.add("vsc", 8, seed, alpha=0.25)
        study.trials[-1]["code/nonzero_fraction"] = fraction
    (row,) = compute(study.tables()).to_dict("records")
    assert (row["alpha"], row["latent_dim"], row["n"]) == (0.25, 8, 2)
    assert row["mean"] == pytest.approx(0.25)
    assert row["high"] - row["mean"] == pytest.approx(12.7062 * 0.05, abs=1e-4)  # t(0.975, 1)


def test_the_prior_is_the_line_of_equality(quickstart: SyntheticStudy) -> None:
    ax = make_axes()[0, 0]
    plot(compute(quickstart.tables()), ax)
    (prior,) = (line for line in ax.lines if line.get_label() == "the prior: fraction = α")
    assert (prior.get_xdata() == prior.get_ydata()).all()
    assert prior.get_linestyle() == "--"


def test_one_line_per_latent_dimension_and_none_for_the_vae(quickstart: SyntheticStudy) -> None:
    ax = make_axes()[0, 0]
    plot(compute(quickstart.tables()), ax)
    assert labels(ax)[:-1] == [f"VSC, latent dimension {dim} (3 seeds)" for dim in (2, 4, 8, 16, 32)]
    assert len({line.get_color() for line in ax.lines}) == 6


def test_axes_have_names(quickstart: SyntheticStudy) -> None:
    ax = make_axes()[0, 0]
    plot(compute(quickstart.tables()), ax)
    assert ax.get_xlabel() == "α (prior probability that a code entry is not zero)"
    assert ax.get_ylabel() == "fraction of non-zero code entries"


@pytest.mark.parametrize(
    ("alphas", "scale"), [([0.01, 0.2, 0.5], "log"), ([0.2, 0.3, 0.5], "linear"), ([0.2], "linear")]
)
def test_a_wide_range_of_alpha_has_log_axes(alphas: list[float], scale: str) -> None:
    study = SyntheticStudy()
    study.grid(alphas, [8], seeds=2)
    ax = make_axes()[0, 0]
    plot(compute(study.tables()), ax)
    assert (ax.get_xscale(), ax.get_yscale()) == (scale, scale)


def test_a_code_that_is_all_zeros_keeps_its_place_on_a_linear_axis() -> None:
    study = SyntheticStudy()
    study.grid([0.01, 0.5], [8], seeds=1)
    study.trials[1]["code/nonzero_fraction"] = 0.0
    ax = make_axes()[0, 0]
    plot(compute(study.tables()), ax)
    assert ax.get_yscale() == "linear"
    assert ax.get_ylim()[0] == 0


def test_of_many_latent_dimensions_five_are_shown() -> None:
    study = SyntheticStudy()
    study.grid([0.1, 0.5], range(8, 201, 8), seeds=1)
    frame = compute(study.tables())
    assert sorted(frame["latent_dim"].unique()) == [8, 56, 104, 152, 200]


def test_a_search_is_one_point_per_trial_that_has_an_alpha(random_search: SyntheticStudy) -> None:
    ax = make_axes()[0, 0]
    plot(compute(random_search.tables()), ax)
    assert [len(item.get_offsets()) for item in ax.collections] == [20]
    assert labels(ax) == ["the prior: fraction = α", "VSC (20 trials)"]


def test_a_study_of_vaes_alone_has_nothing_to_draw() -> None:
    study = SyntheticStudy()
    study.add("vae", 8, 0)
    with pytest.raises(NothingToDrawError, match="no finished trial has a value of alpha"):
        compute(study.tables())


@pytest.mark.parametrize("model", ["vsc_learned_alpha", "vsc_uai_paper", "vsc_uai_code"])
def test_the_prior_is_no_line_for_models_whose_alpha_is_not_the_priors(model: str) -> None:
    study = SyntheticStudy()
    for alpha in (0.1, 0.2):
        study.add(model, 8, 0, alpha)
    ax = make_axes()[0, 0]
    plot(compute(study.tables()), ax)
    assert "--" not in [line.get_linestyle() for line in ax.lines]
    assert ax.get_xlabel() == "α, as it is set"


def test_beside_models_whose_alpha_is_not_the_priors_its_line_names_those_that_it_is_of() -> None:
    study = SyntheticStudy()
    for model in ("vsc", "vsc_learned_alpha"):
        for alpha in (0.1, 0.2):
            study.add(model, 8, 0, alpha)
    ax = make_axes()[0, 0]
    plot(compute(study.tables()), ax)
    assert [line.get_label() for line in ax.lines if line.get_linestyle() == "--"] == ["the prior of VSC: fraction = α"]
    assert ax.get_xlabel() == "α (for VSC the prior probability that a code entry is not zero)"
