import numpy as np
import pytest

from analysis.tables.plateau import MIN_EPOCHS, epoch_of_plateau

FLAT = [100.0] * 24


def test_the_epoch_is_the_first_within_one_nat_of_the_mean_of_the_last_tenth() -> None:
    # The last 3 of 30 epochs average 100; 101.1 at epoch 4 is outside, 100.9 at epoch 5 inside.
    assert epoch_of_plateau([150, 120, 105, 101.1, 100.9, 100, *FLAT]) == 5


def test_a_wider_tolerance_is_met_earlier() -> None:
    curve = [150.0, 120.0, 105.0, 101.1, 100.9, 100.0, *FLAT]
    assert [epoch_of_plateau(curve, within) for within in (0.5, 1.5, 5.0, 20.0)] == [6, 4, 3, 2]


def test_a_curve_that_is_flat_from_the_start_is_there_in_the_first_epoch() -> None:
    assert epoch_of_plateau(FLAT) == 1


def test_of_a_long_curve_the_last_tenth_is_the_plateau() -> None:
    # 100 epochs: the last 10 average 100.45, so 101.4 at epoch 2 is inside. The last 3 alone would average 100.
    assert epoch_of_plateau([110, 101.4, *[100.6] * 91, *[100.6] * 4, 100.0, 100.0, 100.0]) == 2


@pytest.mark.parametrize("length", [12, 30, 100, 300])
def test_noise_of_a_third_of_a_nat_moves_the_epoch_by_little(length: int) -> None:
    epochs = np.arange(1, length + 1)
    falling = 100 + 50 * np.exp(-epochs / (length / 20))  # the fall to within 1 nat takes a fifth of the epochs
    exact = epoch_of_plateau(falling)
    assert exact == np.ceil(np.log(50) * length / 20)
    noise = np.random.default_rng(0).normal(0, 0.3, (50, length))
    found = [epoch_of_plateau(falling + of_one) for of_one in noise]
    assert None not in found
    assert all(abs(epoch - exact) <= max(2, 0.03 * length) for epoch in found if epoch is not None)


def test_a_lone_spike_is_not_a_departure_from_the_plateau() -> None:
    assert epoch_of_plateau([120, 110, *FLAT[:10], 108.0, *FLAT]) == 3


@pytest.mark.parametrize("height", [1.2, 5.0])
@pytest.mark.parametrize("place", [-1, -2, -6])
def test_nor_does_one_at_the_end_make_or_unmake_a_plateau(place: int, height: float) -> None:
    for curve, expected in ((np.full(100, 100.0), 1), (np.linspace(110, 100, 40), None)):
        curve[place] += height
        assert epoch_of_plateau(curve) == expected


def test_what_rises_from_its_first_epochs_on_was_at_its_best_there() -> None:
    assert epoch_of_plateau([100, 99.5, 99.4, 99.6, 99.9, 100.3, 100.8, 101.2, 101.7, 102.2, 102.6]) == 1


def test_a_lasting_departure_is_one() -> None:
    assert epoch_of_plateau([120, 110, *FLAT[:5], *[103.0] * 4, *FLAT]) == 12


def test_after_overfitting_the_best_level_is_the_plateau_and_the_rise_does_not_count() -> None:
    rise = [100 + 0.5 * epoch for epoch in range(1, 21)]
    # The lowest mean of 3 is 100, so 101.1 is outside and 100.9 inside.
    assert epoch_of_plateau([150, 120, 101.1, 100.9, *[100.0] * 5, *rise]) == 4


def test_overfitting_shows_the_plateau_even_where_the_fall_took_more_than_half_of_the_epochs() -> None:
    assert epoch_of_plateau([*np.linspace(150, 100, 21), 100, 100, 101, 102, 103, 104, 105]) == 21


def test_a_rise_within_the_noise_is_no_overfitting() -> None:
    # The last 3 of 27 average 100.4: 101.35 is inside. The lowest mean, 100, would put it outside.
    assert epoch_of_plateau([120, 101.35, *[100.0] * 10, *[100.4] * 15]) == 2


@pytest.mark.parametrize(
    "curve",
    [
        np.linspace(110, 100, 40),
        100 - 5 * np.log(np.arange(1, 201)),
        [*np.linspace(150, 101.5, 16), *[100.0] * 14],  # flat at the end, but the second half began higher
    ],
    ids=["a line", "a logarithm", "flat too late"],
)
def test_a_curve_that_falls_by_more_than_the_tolerance_in_its_last_half_has_no_plateau(curve: list[float]) -> None:
    assert epoch_of_plateau(curve) is None


def test_a_fall_within_the_tolerance_is_a_plateau() -> None:
    assert epoch_of_plateau([120.0, *np.linspace(100.8, 100, 30)]) == 2


def test_a_curve_too_short_to_say_has_no_plateau() -> None:
    assert epoch_of_plateau(FLAT[: MIN_EPOCHS - 1]) is None
    assert epoch_of_plateau(FLAT[:MIN_EPOCHS]) == 1
    assert epoch_of_plateau([]) is None


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_curve_with_a_value_missing_has_no_plateau(value: float) -> None:
    assert epoch_of_plateau([*FLAT, value, *FLAT]) is None
