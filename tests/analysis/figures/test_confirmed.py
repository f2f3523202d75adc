# ruff: noqa: RUF001  (Greek letters and minus signs, meant as such)
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.drawing.style import series_colour
from analysis.figures import confirmed as figure
from analysis.figures.confirmed import note
from analysis.tables.configuration_table import tabulate_configurations
from analysis.tables.confirmed import Comparison, compare_best, compute_confirmed
from analysis.tables.series import NothingToDrawError
from tests.analysis.axes import draw
from tests.analysis.synthetic import SyntheticStudy

# By latent dimension: validation and test ELBO of seeds 0, 1 and 2. The best on test images is not the best on
# validation images, and the luckiest single trial of the search is of neither.
REACHED = {
    8: ((-101.0, -102.0, -103.0), (-99.0, -100.0, -101.0)),
    16: ((-103.0, -104.0, -105.0), (-90.0, -92.0, -94.0)),
    32: ((-100.0, -106.0, -109.0), (-95.0, -96.0, -97.0)),
}
LUCKY = 9  # the search's seed, with which all reach more
T_2 = 4.302653  # t(0.975, 2)


def add(study: SyntheticStudy, phase: str, latent_dim: int, seed: int, **changes: Any) -> None:
    settings = {"sampler": "tpe", "epochs": 3, "phase": phase, "num_validation": 0 if phase == "confirm" else 300}
    study.add(*("vsc", latent_dim, seed, 0.2), **settings | changes)
    validation, test = REACHED[latent_dim]
    if phase == "confirm":
        study.trials[-1]["test/elbo"] = test[seed]
    else:
        study.trials[-1]["test/elbo"] = 0.0  # measured, but no answer: these trained on fewer images
        study.history[-1]["val/elbo"] = [-500.0, -400.0, -90.0 if seed == LUCKY else validation[seed]]


def confirmed_study(**changes: Any) -> SyntheticStudy:
    """A search of three configurations with a lucky seed, each then trained over three, to select and to confirm."""
    study = SyntheticStudy()
    for latent_dim in REACHED:
        add(study, "search", latent_dim, LUCKY, **changes)
    for latent_dim in REACHED:
        for seed in (0, 1, 2):
            add(study, "select", latent_dim, seed, **changes)
        for seed in (0, 1, 2):
            add(study, "confirm", latent_dim, seed, **changes)
    return study


@pytest.fixture
def study() -> SyntheticStudy:
    return confirmed_study()


def test_an_exported_table_leaves_out_the_seed_that_the_search_used_as_the_answer_does() -> None:
    study = SyntheticStudy()
    for latent_dim in REACHED:
        add(study, "search", latent_dim, 0)
        for phase in ("select", "confirm"):
            for seed in (0, 1, 2):
                add(study, phase, latent_dim, seed)
    answer = compute(study).set_index("latent_dim")
    table = tabulate_configurations(study.tables(), ["test/elbo"]).set_index(["phase", "latent_dim"])
    assert table.loc["search", "test/elbo_n"].tolist() == [1, 1, 1]
    assert table.loc["select", "num_seeds"].tolist() == [2, 2, 2]
    for latent_dim in REACHED:
        exported, confirmed = table.loc[("confirm", latent_dim)], answer.loc[latent_dim]
        assert (exported["test/elbo_n"], confirmed["test_n"], confirmed["test_left_out"]) == (2, 2, 1)
        for end in ("mean", "low", "high"):
            assert exported[f"test/elbo_{end}"] == confirmed[f"test_{end}"]


def compute(study: SyntheticStudy) -> pd.DataFrame:
    tables = study.tables()
    return compute_confirmed(tables.trials, tables.history)


def draw_all(study: SyntheticStudy) -> np.ndarray:
    return draw(figure.FIGURE, study.tables())[1]


def test_configurations_are_ranked_by_the_mean_on_validation_images_never_by_the_test(study: SyntheticStudy) -> None:
    frame = compute(study)
    assert list(frame["latent_dim"]) == [8, 16, 32]
    assert list(frame["rank"]) == [1, 2, 3]
    assert list(frame["validation_mean"]) == [-102, -104, -105]
    assert list(frame["test_mean"]) == [-100, -92, -96]


def test_a_configuration_has_the_colour_of_its_model_and_alpha(study: SyntheticStudy) -> None:
    for ax in draw_all(study)[:, 0]:
        drawn = {line.get_color() for line in ax.lines if line.get_marker() == "o"}
        assert drawn == {series_colour("vsc", 0.2)}


def test_means_and_intervals_are_those_computed_by_hand(study: SyntheticStudy) -> None:
    best, second, _ = compute(study).to_dict("records")
    assert best["test_high"] - best["test_mean"] == pytest.approx(T_2 / np.sqrt(3), abs=1e-5)
    assert second["test_mean"] - second["test_low"] == pytest.approx(2 * T_2 / np.sqrt(3), abs=1e-5)
    assert best["validation_high"] - best["validation_mean"] == pytest.approx(T_2 / np.sqrt(3), abs=1e-5)
    assert (best["test_n"], best["validation_n"]) == (3, 3)


def test_single_values_and_the_trials_that_hold_the_models_are_kept_by_seed(study: SyntheticStudy) -> None:
    best = compute(study).iloc[0]
    assert best["test_by_seed"] == {0: -99, 1: -100, 2: -101}
    assert best["validation_by_seed"] == {0: -101, 1: -102, 2: -103}
    rows = pd.DataFrame(study.trials)
    confirming = rows[(rows["phase"] == "confirm") & (rows["latent_dim"] == 8)]
    assert best["trial_by_seed"] == dict(zip(confirming["seed"], confirming["trial_id"], strict=True))


def test_every_setting_has_its_column_and_the_label_names_those_that_differ(study: SyntheticStudy) -> None:
    frame = compute(study)
    assert frame["label"][0] == "VSC, α = 0.2, latent dimension = 8"
    assert {"model", "alpha", "learning_rate", "batch_size", "epochs", "hidden"} <= set(frame.columns)
    assert "num_validation" not in frame


def test_a_single_configuration_is_named_by_what_the_search_varied(study: SyntheticStudy) -> None:
    study.trials = [row for row in study.trials if row["phase"] == "search" or row["latent_dim"] == 16]
    assert list(compute(study)["label"]) == ["VSC, α = 0.2, latent dimension = 16"]


def test_what_is_minimised_ranks_the_lowest_first() -> None:
    frame = compute(confirmed_study(directions='["minimize"]'))
    assert list(frame["latent_dim"]) == [32, 16, 8]


def test_the_first_objective_ranks() -> None:
    changes = {"objectives": '["val/elbo", "train_seconds"]', "directions": '["maximize", "minimize"]'}
    frame = compute(confirmed_study(**changes))
    assert list(frame["latent_dim"]) == [8, 16, 32]
    assert set(frame["objective"]) == {"val/elbo"}


@pytest.mark.parametrize("status", ["stopped", "running"])
def test_only_finished_trials_count(study: SyntheticStudy, status: str) -> None:
    selecting = next(row for row in study.trials if row["phase"] == "select")  # latent dimension 8, seed 0
    selecting["status"] = status
    confirming = next(row for row in study.trials if row["phase"] == "confirm")
    confirming |= {"status": status, "test/elbo": float("nan")}
    best = compute(study).iloc[0]
    assert best["validation_by_seed"] == {1: -102, 2: -103}
    assert best["test_by_seed"] == {1: -100, 2: -101}


@pytest.mark.parametrize(("phase", "ranked"), [("search", [16, 32]), ("select", [8, 16, 32]), ("confirm", [8, 16, 32])])
def test_a_constraint_unranks_what_breaks_it_in_the_search_alone(
    study: SyntheticStudy, phase: str, ranked: list[int]
) -> None:
    broken = next(row for row in study.trials if row["phase"] == phase)  # latent dimension 8
    broken["violates"] = "train_seconds <= 60"
    frame = compute(study)
    assert list(frame.loc[frame["rank"].notna(), "latent_dim"]) == ranked


@pytest.mark.parametrize("status", ["diverged", "failed"])
@pytest.mark.parametrize("phase", ["search", "select", "confirm"])
def test_a_configuration_that_was_lost_with_one_seed_is_no_winner(
    study: SyntheticStudy, status: str, phase: str
) -> None:
    lost = next(row for row in study.trials if (row["phase"], row["latent_dim"]) == (phase, 8))
    lost |= {"status": status, "test/elbo": float("nan")}
    frame = compute(study)
    assert list(frame["latent_dim"]) == [16, 32, 8]
    assert frame["rank"].tolist()[:2] == [1, 2]
    assert np.isnan(frame["rank"].iloc[2])


def test_a_configuration_that_a_scheduler_stopped_with_one_seed_is_no_winner() -> None:
    """Where the search itself counts, as nothing was confirmed: the seed that was left is a lucky one."""
    study = SyntheticStudy()
    for latent_dim, values in {8: (-10.0, -90.0), 16: (-20.0, -21.0)}.items():
        for seed, value in enumerate(values):
            status = "stopped" if value == -90.0 else "finished"
            study.add_searched(value, latent_dim=latent_dim, seed=seed, status=status)
    tables = study.tables()
    both = pd.concat([tables.trials, tables.trials.assign(phase="confirm")], ignore_index=True)
    frame = compute_confirmed(both, tables.history)
    assert list(frame["latent_dim"]) == [16, 8]
    assert np.isnan(frame["rank"].iloc[1])


def test_where_every_configuration_was_lost_with_one_seed_there_is_no_winner(study: SyntheticStudy) -> None:
    for row in study.trials:
        if (row["phase"], row["seed"]) == ("select", 1):
            row["status"] = "diverged"
    with pytest.raises(NothingToDrawError, match="diverged or failed with some seed"):
        compute(study)


def test_trials_of_other_settings_or_without_images_held_out_choose_nothing(study: SyntheticStudy) -> None:
    add(study, "search", 32, LUCKY, learning_rate=0.5)
    add(study, "search", 32, LUCKY, num_validation=0)
    for history in study.history[-2:]:
        history["val/elbo"] = 0.0
    assert compute(study)["validation_n"].tolist() == [3, 3, 3]


def test_a_seed_of_the_search_counts_for_nothing_where_others_do(study: SyntheticStudy) -> None:
    """In tables of before, too, where the search's own trial selected, and its seed confirmed."""
    for row in study.trials:
        if row["seed"] == 0 and row["latent_dim"] == 8:
            row["phase"] = "search" if row["phase"] == "select" else row["phase"]
    best = compute(study).iloc[0]
    assert best["validation_by_seed"] == {1: -102, 2: -103}
    assert best["test_by_seed"] == {1: -100, 2: -101}


def test_where_nothing_else_was_trained_the_search_itself_counts(study: SyntheticStudy) -> None:
    rows = [row for row in study.trials if row["phase"] == "search"]
    study.trials = [*rows, *({**row, "phase": "confirm", "test/elbo": -9.0} for row in rows)]
    frame = compute(study)
    assert frame["validation_by_seed"].tolist() == [{LUCKY: -90.0}] * 3
    assert frame["test_by_seed"].tolist() == [{LUCKY: -9.0}] * 3


def test_a_winner_that_is_not_confirmed_yet_stays_the_winner(study: SyntheticStudy) -> None:
    for row in study.trials:
        if row["phase"] == "confirm" and row["latent_dim"] == 8:
            row |= {"status": "running", "test/elbo": float("nan")}
    frame = compute(study)
    assert list(frame["latent_dim"]) == [8, 16, 32]
    assert list(frame["test_n"]) == [0, 3, 3]
    assert frame["test_by_seed"][0] == {}
    assert compare_best(frame) == Comparison(num_seeds=0, interval=None)


def test_a_configuration_that_no_validation_images_saw_comes_last_without_a_rank(study: SyntheticStudy) -> None:
    for row in study.trials:
        if row["latent_dim"] == 8 and row["phase"] != "confirm":
            row["status"] = "failed"
    frame = compute(study)
    assert list(frame["latent_dim"]) == [16, 32, 8]
    assert frame["rank"].isna().tolist() == [False, False, True]


def test_the_two_best_are_compared_by_pairs_of_seeds(study: SyntheticStudy) -> None:
    # The differences by seed are -9, -8 and -7: mean -8, standard deviation 1.
    frame = compute(study)
    assert list(frame["label"][:2]) == [f"VSC, α = 0.2, latent dimension = {dim}" for dim in (8, 16)]
    comparison = compare_best(frame)
    assert comparison is not None
    half = T_2 / np.sqrt(3)
    assert (comparison.num_seeds, comparison.verdict) == (3, "they differ")
    assert comparison.interval == pytest.approx((-8, -8 - half, -8 + half), abs=1e-5)


def test_an_interval_that_holds_zero_is_no_difference(study: SyntheticStudy) -> None:
    values = iter((-100.0, -99.0, -101.5))  # of the second, against -99, -100 and -101 of the winner
    for row in study.trials:
        if row["phase"] == "confirm" and row["latent_dim"] == 16:
            row["test/elbo"] = next(values)
    comparison = compare_best(compute(study))
    assert comparison is not None
    assert comparison.interval is not None
    assert comparison.interval[0] == pytest.approx((1 - 1 + 0.5) / 3)
    assert comparison.verdict == "it is undecided whether they differ"


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        ((0.1, -0.9, 0.9), "they differ by less than 1 nat, if at all"),  # two one-sided tests at 1 nat
        ((0.5, 0.2, 0.8), "they differ, by less than 1 nat"),
        ((1.5, 0.2, 2.8), "they differ"),
        ((0.5, -0.2, 1.2), "it is undecided whether they differ"),
    ],
)
def test_equal_is_said_only_where_the_interval_lies_within_the_margin(
    interval: tuple[float, float, float], words: str
) -> None:
    assert Comparison(3, interval).verdict == words


@pytest.mark.parametrize("interval", [(0.1, -0.9, 0.9), (1.5, 0.2, 2.8)])
def test_two_seeds_have_an_interval_and_decide_nothing(interval: tuple[float, float, float]) -> None:
    """As they do of a claim."""
    assert Comparison(2, interval).verdict == "it is undecided whether they differ"


def test_fewer_than_two_seeds_in_common_say_nothing(study: SyntheticStudy) -> None:
    for row in study.trials:
        if row["phase"] == "confirm" and row["latent_dim"] == 16 and row["seed"] > 0:
            row["status"] = "running"
    assert compare_best(compute(study)) == Comparison(num_seeds=1, interval=None)


def test_a_single_configuration_has_no_runner_up(study: SyntheticStudy) -> None:
    assert compare_best(compute(study).head(1)) is None


def test_nor_is_what_was_lost_with_one_seed_a_runner_up(study: SyntheticStudy) -> None:
    for row in study.trials:
        if (row["phase"], row["seed"]) == ("select", 1) and row["latent_dim"] != 8:
            row["status"] = "diverged"
    frame = compute(study)
    assert frame["rank"].isna().tolist() == [False, True, True]
    assert compare_best(frame) is None


def test_the_winner_is_on_top_and_named_with_its_settings(study: SyntheticStudy) -> None:
    ax = draw_all(study)[0, 0]
    names = [" ".join(label.get_text().split()) for label in ax.get_yticklabels()]
    assert names == [
        "winner: VSC, α = 0.2, latent dimension = 8",
        "2: VSC, α = 0.2, latent dimension = 16",
        "3: VSC, α = 0.2, latent dimension = 32",
    ]
    assert ax.get_yticklabels()[0].get_fontweight() == "bold"
    assert ax.get_ylim()[0] > ax.get_ylim()[1]


def test_both_means_have_their_bars_and_seeds_in_the_colour_of_model_and_alpha(study: SyntheticStudy) -> None:
    ax = draw_all(study)[0, 0]
    assert [item.lines[0].get_xdata()[0] for item in ax.containers] == [-102, -100, -104, -92, -105, -96]
    assert {item.lines[0].get_color() for item in ax.containers} == {series_colour("vsc", 0.2)}
    dots = [item.get_offsets()[:, 0].tolist() for item in ax.collections if len(item.get_offsets()) == 3]
    assert dots[:2] == [[-101, -102, -103], [-99, -100, -101]]
    (bar,) = ax.containers[1].lines[2]
    assert bar.get_segments()[0][:, 0] == pytest.approx([-100 - T_2 / np.sqrt(3), -100 + T_2 / np.sqrt(3)], abs=1e-5)


def test_a_row_below_has_each_less_the_winner_paired_by_seed(study: SyntheticStudy) -> None:
    frame = figure.compute(study.tables())
    assert frame["gain"].tolist() == pytest.approx([np.nan, 8, 4], nan_ok=True)
    assert frame["gain_low"][1] == pytest.approx(8 - T_2 / np.sqrt(3), abs=1e-5)  # differences 9, 8 and 7
    ax = draw_all(study)[1, 0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["2, less the winner", "3, less the winner"]
    dots = [item.get_offsets()[:, 0].tolist() for item in ax.collections if len(item.get_offsets()) == 3]
    assert dots == [[9, 8, 7], [4, 4, 4]]
    assert ax.get_xlabel() == "test ELBO less the winner's, paired by seed (nats per image)"
    assert figure.find(frame) == "VSC, α = 0.2, latent dimension = 8 wins; the first two differ"
    alone = frame.head(1)
    assert figure.shape(alone) == (1, 1)
    assert figure.find(alone) == "VSC, α = 0.2, latent dimension = 8 wins"


def test_axes_and_legend_name_what_is_drawn(study: SyntheticStudy) -> None:
    ax = draw_all(study)[0, 0]
    assert ax.get_xlabel() == "ELBO (nats per image, higher is better)"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        *("validation images", "test images", "single seeds")
    ]


def test_an_objective_on_another_scale_is_told_not_drawn() -> None:
    study = confirmed_study(objectives='["val/nonzero_fraction"]', directions='["minimize"]')
    for history in study.history:
        history["val/nonzero_fraction"] = 0.25
    ax = draw_all(study)[0, 0]
    assert ax.get_xlabel() == "test ELBO (nats per image, higher is better)"
    assert len(ax.containers) == 3
    name = " ".join(ax.get_yticklabels()[0].get_text().split())
    assert name.endswith("validation non-zero fraction of the code = 0.25")


def test_the_caption_says_whether_the_two_best_differ(study: SyntheticStudy) -> None:
    assert note(compute(study)).endswith(
        "The winner's test ELBO less that of the second, in nats per image: −8.0 (−10.5 to −5.5), "
        "paired over 3 seeds: they differ."
    )


def test_one_seed_has_no_interval(study: SyntheticStudy) -> None:
    study.trials = [row for row in study.trials if row["seed"] == 0]
    assert compute(study)["test_low"].isna().all()
    assert note(compute(study)).endswith("One seed: no interval.")
    assert len(draw_all(study)[0, 0].containers) == 6


@pytest.mark.parametrize(
    ("phase", "change", "reason"),
    [
        ("confirm", {"phase": "select"}, "no configuration was trained again to confirm it"),
        ("confirm", {"status": "running"}, "no trial that confirms a configuration has finished"),
        ("search", {"status": "failed"}, "no confirmed configuration has a validation ELBO to be ranked by"),
    ],
)
def test_what_is_missing_is_a_reason(phase: str, change: dict[str, str], reason: str) -> None:
    study = confirmed_study()
    study.trials = [row for row in study.trials if row["phase"] in ("search", "confirm")]
    for row in study.trials:
        if row["phase"] == phase:
            row.update(change)
    with pytest.raises(NothingToDrawError, match=reason):
        compute(study)
