# ruff: noqa: RUF001  (a minus sign and a Greek letter, meant as such)
import pytest

from analysis import wording
from analysis.wording import (
    configuration_label,
    decimal,
    exact_value,
    format_p,
    markdown_table,
    span,
    with_interval,
    with_minus,
)
from models import choices

NAN = float("nan")


def test_the_lists_of_models_are_those_of_the_package_that_makes_them() -> None:
    assert wording.OF_PSEUDO_INPUTS == choices.OF_PSEUDO_INPUTS
    assert (*choices.OF_PSEUDO_INPUTS, *choices.OF_LEARNED_ALPHA) == wording.OWN_PRIORS


@pytest.mark.parametrize(
    ("value", "decimals", "text"), [(-99.46, 1, "−99.5"), (0.25, 2, "0.25"), (-0.04, 1, "0.0"), (12.0, 0, "12")]
)
def test_a_number_has_a_minus_sign_unless_it_reads_zero(value: float, decimals: int, text: str) -> None:
    assert decimal(value, decimals) == text


def test_an_exponent_keeps_its_hyphen() -> None:
    assert [with_minus(f"{value:g}") for value in (-1e-6, -0.5, 1e-6)] == ["−1e-06", "−0.5", "1e-06"]


@pytest.mark.parametrize(
    ("mean", "low", "high", "text"),
    [
        (-99.4567, -99.6867, -99.2267, "−99.46 (−99.69 to −99.23)"),
        (-99.4567, -102.4567, -96.4567, "−99.5 (−102.5 to −96.5)"),
        (-99.4567, -129.4567, -69.4567, "−99 (−129 to −69)"),
        (1.0, 0.9999, 1.0001, "1.0000 (0.9999 to 1.0001)"),
        (1.0, 0.99999, 1.00001, "1.0000 (1.0000 to 1.0000)"),
        (5.0, 5.0, 5.0, "5.00 (5.00 to 5.00)"),
        (-99.4567, NAN, NAN, "−99.5"),
        (0.0312, NAN, NAN, "0.031"),
        (0.0, NAN, NAN, "0.0"),
    ],
)
def test_digits_follow_the_width_of_the_interval(mean: float, low: float, high: float, text: str) -> None:
    assert with_interval(mean, low, high) == text


@pytest.mark.parametrize(("p", "text"), [(0.0123, "= 0.012"), (1.0, "= 1"), (2e-5, "< 0.0001"), (0.0, "< 0.0001")])
def test_a_p_has_two_digits_and_is_never_zero(p: float, text: str) -> None:
    assert format_p(p) == text


def test_a_table_in_markdown() -> None:
    assert markdown_table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_a_label_names_the_model_and_the_settings_that_it_has() -> None:
    settings = {"model": "vsc", "alpha": 0.0123456, "latent_dim": 8, "beta": NAN, "gamma_link": None}
    names = ["model", "alpha", "beta", "gamma_link", "latent_dim"]
    assert configuration_label(settings, names) == "VSC, α = 0.0123, latent dimension = 8"
    assert configuration_label(settings, names, exact_value) == "VSC, α = 0.0123456, latent dimension = 8"


@pytest.mark.parametrize(
    ("low", "high", "noun", "text"),
    [(1, 1, "seed", "1 seed"), (3, 3, "seed", "3 seeds"), (1, 3, "seed", "1 to 3 seeds"), (5, 1_200, "", "5 to 1,200")],
)
def test_a_span_is_one_number_or_two(low: int, high: int, noun: str, text: str) -> None:
    assert span(low, high, noun) == text


def test_an_exact_value_has_the_digits_that_tell_it_from_others_and_no_more() -> None:
    assert [exact_value(value) for value in (0.1, 0.1 + 0.2, 3, "sigmoid")] == [
        "0.1",
        "0.30000000000000004",
        "3",
        "sigmoid",
    ]
