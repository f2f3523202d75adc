import pytest

from analysis.drawing.style import MODEL_COLOURS, SAMPLER_COLOURS
from analysis.figures.best_so_far import FIGURE, compute, count_new_epochs, note
from analysis.tables import Tables, join_studies
from analysis.tables.series import NothingToDrawError
from tests.analysis.axes import draw
from tests.analysis.synthetic import SyntheticStudy


def search(*values: float, **changes: object) -> Tables:
    """A study whose trials, of 3 epochs unless said otherwise, reached these validation ELBOs."""
    study = SyntheticStudy()
    for i, value in enumerate(values):
        study.add_searched(value, learning_rate=0.001 * (i + 1), **changes)
    return study.tables()


def curve(tables: Tables) -> list[list[float]]:
    frame = compute(tables)
    return frame[["epochs", "median", "low", "high"]].to_numpy().tolist()


def test_the_best_of_one_study_by_its_cumulated_epochs() -> None:
    tables = search(-30, -40, -20)
    assert curve(tables) == [[3, -30, -30, -30], [6, -30, -30, -30], [9, -20, -20, -20]]


def test_epochs_of_trials_that_came_to_nothing_count() -> None:
    study = SyntheticStudy()
    study.add_searched(0.0, status="diverged")
    study.add_searched(-10.0, status="stopped", epochs=5, learning_rate=0.01)
    study.add_searched(-30.0, learning_rate=0.1)
    assert curve(study.tables()) == [[11, -30, -30, -30]]


def test_epochs_that_trials_share_count_once() -> None:
    study = SyntheticStudy()
    for epochs in (25, 10, 50):
        study.add("vsc", 8, 0, 0.2, epochs=epochs)
    study.add("vsc", 8, 1, 0.2, epochs=25)
    assert count_new_epochs(study.tables().trials).tolist() == [25, 0, 25, 25]


def test_epochs_under_a_ramp_are_not_shared() -> None:
    study = SyntheticStudy()
    for epochs in (25, 50):
        study.add("vsc", 8, 0, 0.2, epochs=epochs, sharpness_schedule="ramp")
    assert count_new_epochs(study.tables().trials).tolist() == [25, 50]


def test_the_median_and_the_range_are_those_of_the_studies_at_each_epoch() -> None:
    joined = join_studies({"a": search(-30, -10), "b": search(-20, -20), "c": search(-50, epochs=5)})
    assert curve(joined) == [[5, -30, -50, -20], [6, -20, -50, -10]]


def test_a_study_that_has_ended_keeps_its_best() -> None:
    joined = join_studies({"a": search(-30), "b": search(-40, -35, -32)})
    assert curve(joined)[-1] == [9, -31, -32, -30]


def test_studies_may_share_trials() -> None:
    joined = join_studies({"a": search(-30), "b": search(-40)})
    assert joined.trials["trial_id"].nunique() == 1
    assert curve(joined) == [[3, -35, -40, -30]]


def test_each_sampler_and_scheduler_is_a_line_with_a_look_of_its_own() -> None:
    studies = {
        f"{sampler}, {scheduler}, {i}": search(-30 - i, -20, sampler=sampler, scheduler=scheduler)
        for sampler, scheduler in (("random", "fifo"), ("tpe", "fifo"), ("tpe", "asha"))
        for i in range(2)
    }
    frame, ((ax,),) = draw(FIGURE, join_studies(studies))
    steps = [line for line in ax.lines if line.get_drawstyle() == "steps-post"]
    looks = {line.get_label(): (line.get_color(), line.get_linestyle()) for line in steps}
    assert looks == {
        "random, FIFO (2 studies)": ("#000000", "-"),
        "TPE, FIFO (2 studies)": ("#009E73", "-"),
        "TPE, ASHA (2 studies)": ("#009E73", "--"),
    }
    assert steps[0].get_xydata().tolist() == [[3, -30.5], [6, -20]]
    assert len(ax.collections) == 3
    assert ax.get_xlabel() == "epochs trained by the study"
    assert ax.get_ylabel() == "validation ELBO\n(nats per image, higher is better)"
    assert note(frame).startswith("Median of the studies")


def test_one_study_is_a_line_without_a_band() -> None:
    frame, ((ax,),) = draw(FIGURE, search(-30, -20))
    assert not ax.collections
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["TPE, FIFO"]
    assert "Median" not in note(frame)


def test_samplers_have_colours_apart_from_each_other_and_from_models() -> None:
    colours = [*SAMPLER_COLOURS.values(), *MODEL_COLOURS.values()]
    assert len(set(colours)) == len(colours)


@pytest.mark.parametrize(
    ("studies", "reason"),
    [
        ({"a": search(-30), "b": search(-30, dataset="mnist")}, "differ in dataset or objectives"),
        (
            {"a": search(-30), "b": search(-30, objectives='["val/rate"]', directions='["minimize"]')},
            "differ in dataset or objectives",
        ),
        ({"a": search(-30, sampler="grid", num_validation=300)}, "a grid trains every point"),
        ({"a": search(-30, status="diverged")}, "no finished or stopped trial has a value of val/elbo"),
    ],
)
def test_what_cannot_be_compared_says_why(studies: dict[str, Tables], reason: str) -> None:
    joined = join_studies(studies)
    with pytest.raises(NothingToDrawError, match=reason):
        compute(joined)


def test_a_grid_may_be_compared_with_searches() -> None:
    same = {"objectives": '["val/elbo"]', "directions": '["maximize"]', "num_validation": 300}
    joined = join_studies({"a": search(-30), "b": search(-40, sampler="grid", **same)})
    assert sorted(compute(joined)["sampler"]) == ["grid", "tpe"]
