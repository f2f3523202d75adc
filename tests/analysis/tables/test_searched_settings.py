import pandas as pd
import pytest

from analysis.tables.searched_settings import list_searched_settings, prefers_log
from analysis.tables.series import NothingToDrawError
from tests.analysis.synthetic import SyntheticStudy


def placed(study: SyntheticStudy) -> dict[str, list[tuple[float, object]]]:
    frame = list_searched_settings(study.tables().trials)
    return {
        str(name): list(zip(rows["at"], rows["level"], strict=True))
        for name, rows in frame.groupby("setting", sort=False)
    }


def test_settings_that_vary_are_placed_and_others_are_not_there() -> None:
    study = SyntheticStudy()
    study.add_searched(-1, hidden="[400]", batch_size=16)
    study.add_searched(-1, hidden="[200]", batch_size=64)
    assert placed(study) == {
        "hidden": [(1, "[400]"), (0, "[200]")],
        "batch_size": [(16, None), (64, None)],
    }


def test_a_model_without_a_setting_has_no_place_on_it() -> None:
    study = SyntheticStudy()
    study.add_searched(-1)
    study.add_searched(-1, "vsc", 0.1)
    study.add_searched(-1, "vsc", 0.2)
    frame = placed(study)
    assert frame["model"] == [(0, "VAE"), (1, "VSC"), (1, "VSC")]
    assert pd.isna([at for at, _ in frame["alpha"]]).tolist() == [True, False, False]


def test_trials_that_are_all_alike_have_nothing_to_place() -> None:
    study = SyntheticStudy()
    study.add_searched(-1, seed=0)
    study.add_searched(-1, seed=1)
    with pytest.raises(NothingToDrawError, match="the trials differ in no setting"):
        placed(study)


def test_settings_that_a_population_changed_on_the_way_are_not_placed() -> None:
    study = SyntheticStudy()
    study.add_searched(-1, learning_rate=0.01, scheduler="pbt")
    study.add_searched(-2, learning_rate=0.1, scheduler="pbt")
    with pytest.raises(NothingToDrawError, match="PBT changes settings"):
        placed(study)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1e-4, 3e-4, 1e-2], True),
        ([0.1, 0.5, 0.9], False),
        ([0.0, 0.5, 100.5], False),
        ([16, 32, 64, 128, 256, 512], True),
        ([8, 60, 110, 160, 200], False),
        ([], False),
        ([float("nan"), 0.005, 0.5], True),
    ],
)
def test_a_log_axis_suits_wide_ranges_unless_whole_numbers_are_spaced_evenly(
    values: list[float], expected: bool
) -> None:
    assert prefers_log(pd.Series(values, dtype=float)) == expected
