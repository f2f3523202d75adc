"""Domains: the values they hold, what is refused, and samples that stay inside."""

import math
from typing import Any

import jsonschema
import numpy as np
import optuna
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from harness.study.domains import MAX_VALUES, MAX_WHOLE, Domain, Finite, Interval, build_json_schema, parse_domain
from models.setting import SETTINGS


def values(setting: str, raw: Any) -> tuple[Any, ...]:
    domain = parse_domain(setting, raw)
    assert isinstance(domain, Finite)
    return domain.values


@pytest.mark.parametrize(
    ("setting", "raw", "expected"),
    [
        ("latent_dim", 8, (8,)),
        ("latent_dim", 8.0, (8,)),
        ("beta", 4, (4.0,)),
        ("model", "vae", ("vae",)),
        ("hidden", [400, 200], ((400, 200),)),
        ("hidden", 400, ((400,),)),
        ("latent_dim", {"grid": [8, 2, 4]}, (8, 2, 4)),
        ("gamma_link", {"choice": ["sigmoid", "exp_relu"]}, ("sigmoid", "exp_relu")),
        ("hidden", {"grid": [[8], [16, 8], 4]}, ((8,), (16, 8), (4,))),
        ("latent_dim", {"range": [8, 200, 8]}, tuple(range(8, 201, 8))),
        ("latent_dim", {"range": [8, 20, 8]}, (8, 16)),
        ("latent_dim", {"range": [8, 8, 8]}, (8,)),
        ("alpha", {"range": [0.1, 0.5, 0.1]}, (0.1, 0.2, 0.3, 0.4, 0.5)),
        ("gamma_clamp", {"grid": [0, 1e-6]}, (0.0, 1e-6)),
        ("pixel_scaling", {"grid": ["minmax", "unit_norm"]}, ("minmax", "unit_norm")),
        ("beta", {"range": [1, 3, 1]}, (1.0, 2.0, 3.0)),
        ("learning_rate", {"range": [1e-14, 3e-14, 1e-14]}, (1e-14, 2e-14, 3e-14)),
    ],
)
def test_a_finite_domain_has_its_values_in_order_and_in_their_type(setting: str, raw: Any, expected: Any) -> None:
    found = values(setting, raw)
    assert found == expected
    assert [type(v) for v in found] == [type(v) for v in expected]


@given(st.integers(1, 500), st.integers(0, 500), st.integers(1, 60))
def test_a_range_of_whole_numbers_ends_at_or_before_its_last(first: int, width: int, step: int) -> None:
    assert values("latent_dim", {"range": [first, first + width, step]}) == tuple(range(first, first + width + 1, step))


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 400), st.integers(1, 6))
def test_a_range_of_decimals_has_exactly_the_decimals_that_one_would_write(
    first: int, step: int, count: int, places: int
) -> None:
    written = [float(f"{first + i * step}e-{places}") for i in range(count)]
    assert values("beta", {"range": [written[0], written[-1], float(f"{step}e-{places}")]}) == tuple(written)


def test_an_interval_keeps_its_ends_and_its_kind() -> None:
    domain = parse_domain("alpha", {"loguniform": [0.01, 0.5]})
    assert domain == Interval("alpha", "loguniform", 0.01, 0.5, {"loguniform": [0.01, 0.5]})
    assert parse_domain("latent_dim", {"int": [2, 32.0]}).low == 2  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("setting", "raw", "message"),
    [
        ("alpha", None, "no value; give one, or remove it"),
        ("alpha", {"grid": [None]}, "no value"),
        ("alpha", {"grid": []}, "an empty grid; give at least one value, such as {grid: [8, 16]}"),
        ("alpha", {"range": []}, "range needs three numbers"),
        ("alpha", {"grid": 0.2}, "grid needs a list"),
        ("alpha", {}, "not a domain"),
        ("alpha", {"grid": [0.1], "choice": [0.1]}, "not a domain"),
        ("alpha", {None: [0.1]}, "not a domain"),
        ("alpha", {("a", 1): [0.1]}, "not a domain"),
        ("alpha", {"uniform": [0.1, True]}, "uniform needs two numbers"),
        ("alpha", {"uniform": [0.1, math.nan]}, "nan is not inside"),
        ("alpha", {"loguniform": [0, 0.5]}, "0 is not inside"),
        ("gamma_clamp", {"loguniform": [0, 0.1]}, "loguniform needs a low end above 0, not 0.0"),
        ("gamma_clamp", {"uniform": [0, 0.1]}, "uniform needs a low end above 0, not 0.0"),
        ("gamma_clamp", {"uniform": [0, 0.5]}, "0.5 is not 0 or inside [1e-06, 0.5)"),
        ("beta", {"loguniform": [1, math.inf]}, "inf is not inside [1.2e-38, 3.4e+38]"),
        ("beta", {"uniform": [2, 1]}, "uniform needs its low end (2.0) below its high end (1.0); swap or change them"),
        ("latent_dim", {"int": [3, 3]}, "below its high end"),
        ("latent_dim", {"int": [2, 3.5]}, "3.5 is not a whole number"),
        ("latent_dim", {"loguniform": [2, 4]}, "latent_dim is a whole number; use {int: [8, 200]} instead"),
        ("beta", {"int": [1, 4]}, "beta is not a whole number; use {uniform:"),
        ("model", {"uniform": [1, 2]}, "1 is not one of vae, vsc"),
        ("hidden", {"int": [8, 16]}, "hidden is a list"),
        ("hidden", {"range": [8, 16, 8]}, "hidden is a list"),
        ("hidden", {"grid": [[8], 8]}, "given twice"),
        ("latent_dim", MAX_WHOLE + 1, "is too large"),
        ("hidden", [8, MAX_WHOLE + 1], "is too large"),
        ("latent_dim", {"range": [1, MAX_VALUES + 1, 1]}, "more than 100000 values; give a larger step"),
        ("beta", {"range": [1, 2, 5e-324]}, "more than 100000 values"),
        ("beta", {"range": [1, 2, math.inf]}, "first <= last and a step above 0"),
        ("beta", {"range": [1, 2, -1]}, "first <= last and a step above 0"),
        ("beta", {"range": [1, 2, False]}, "three numbers"),
    ],
)
def test_a_wrong_domain_is_refused_with_its_fix(setting: str, raw: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
        parse_domain(setting, raw)
    assert message in str(caught.value)


def test_the_largest_range_is_taken() -> None:
    assert len(values("latent_dim", {"range": [1, MAX_VALUES, 1]})) == MAX_VALUES


# Generated domains: numbers that are mostly legal, so that most of them parse.

whole = st.integers(1, 300)
real = st.floats(1e-6, 0.999)
hidden = st.lists(st.integers(1, 64), min_size=1, max_size=3)
scalars: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(["latent_dim", "batch_size", "epochs", "num_validation"], whole),
    **dict.fromkeys(["alpha", "beta", "learning_rate"], real),
    "hidden": hidden,
    "model": st.sampled_from(["vae", "vsc"]),
    "gamma_link": st.sampled_from(["exp_relu", "sigmoid"]),
    "sharpness_schedule": st.sampled_from(["per_step", "per_epoch", "ramp"]),
    "kl_from": st.sampled_from(["gamma", "logits"]),
    "estimator": st.sampled_from(["relaxed", "straight_through", "disarm"]),
    "gamma_clamp": real,
    "pixel_scaling": st.sampled_from(["minmax", "unit_norm"]),
    "initialisation": st.sampled_from(["kaiming", "xavier"]),
    "precision": st.sampled_from(["float32", "tf32", "bf16"]),
    "randomness": st.sampled_from(["counter", "report"]),
}


@st.composite
def raw_domains(draw: st.DrawFn) -> tuple[str, Any]:
    setting = draw(st.sampled_from(sorted(scalars)))
    value = scalars[setting]
    several = st.lists(value, max_size=4, unique_by=str)
    forms = [value, *(several.map(lambda v, k=k: {k: v}) for k in ("grid", "choice"))]
    if value in (whole, real):
        kinds = ["int", "uniform", "loguniform"]
        forms += [st.lists(value, min_size=2, max_size=2).map(lambda v, k=k: {k: sorted(v)}) for k in kinds]
        forms.append(st.tuples(value, value, value).map(lambda v: {"range": [*sorted(v[:2]), v[2]]}))
    return setting, draw(st.one_of(forms))


def parse_or_reject(setting: str, raw: Any) -> Domain:
    try:
        return parse_domain(setting, raw)
    except ValueError:
        assume(False)
        raise


def holds(domain: Domain, value: Any) -> bool:
    if isinstance(domain, Finite):
        return value in domain.values
    return domain.low <= value <= domain.high and isinstance(value, int if domain.kind == "int" else float)


@given(raw_domains(), st.integers(0, 2**32))
@example(("alpha", {"loguniform": [0.1, 0.3]}), 3)
def test_values_at_any_share_lie_in_the_domain(given_domain: tuple[str, Any], seed: int) -> None:
    domain = parse_or_reject(*given_domain)
    shares = [0.0, 1.0, *np.random.default_rng(seed).random(20).tolist()]
    assert all(holds(domain, domain.at(share)) for share in shares)


def test_values_reach_both_ends() -> None:
    rng = np.random.default_rng(0)
    drawn = {parse_domain("latent_dim", {"int": [2, 4]}).at(rng.random()) for _ in range(100)}
    assert drawn == {2, 3, 4}
    drawn = {parse_domain("latent_dim", {"grid": [2, 9, 4]}).at(rng.random()) for _ in range(100)}
    assert drawn == {2, 9, 4}


def test_loguniform_values_are_even_over_decades() -> None:
    rng = np.random.default_rng(0)
    domain = parse_domain("learning_rate", {"loguniform": [1e-4, 1e-2]})
    low = sum(domain.at(rng.random()) < 1e-3 for _ in range(2000))
    assert 900 < low < 1100
    even = parse_domain("learning_rate", {"uniform": [1e-4, 1e-2]})
    assert sum(even.at(rng.random()) < 1e-3 for _ in range(2000)) < 300


def in_memory() -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))


@given(raw_domains())
def test_what_optuna_suggests_lies_in_the_domain(given_domain: tuple[str, Any]) -> None:
    domain = parse_or_reject(*given_domain)
    study = in_memory()
    assert all(holds(domain, domain.suggest(study.ask(), "x")) for _ in range(3))


def test_optuna_can_suggest_every_value_and_learns_the_order_of_a_range() -> None:
    study = in_memory()
    for raw in ({"range": [8, 24, 8]}, {"grid": [8, 16, 24]}):
        trials = [study.ask() for _ in range(40)]
        assert {parse_domain("latent_dim", raw).suggest(trial, str(raw)) for trial in trials} == {8, 16, 24}
        distribution = trials[0].distributions[str(raw)]
        is_ordered = isinstance(distribution, optuna.distributions.IntDistribution)
        assert is_ordered == ("range" in raw)


def test_optuna_is_told_which_scale_is_logarithmic() -> None:
    trial = in_memory().ask()
    for kind in ("uniform", "loguniform"):
        parse_domain("learning_rate", {kind: [1e-4, 1e-2]}).suggest(trial, kind)
    assert trial.distributions == {
        "uniform": optuna.distributions.FloatDistribution(1e-4, 1e-2),
        "loguniform": optuna.distributions.FloatDistribution(1e-4, 1e-2, log=True),
    }


# The JSON schema that editors complete and check by


def is_in_schema(setting: str, raw: Any) -> bool:
    return jsonschema.Draft202012Validator(build_json_schema(setting)).is_valid(raw)


@pytest.mark.parametrize("setting", [name for name in SETTINGS if name != "seed"])
def test_every_settings_schema_is_a_schema_with_a_description(setting: str) -> None:
    schema = build_json_schema(setting)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["description"] == SETTINGS[setting].metadata["help"]


@given(raw_domains())
def test_the_schema_accepts_every_domain_that_parses(given_domain: tuple[str, Any]) -> None:
    parse_or_reject(*given_domain)
    assert is_in_schema(*given_domain)


@pytest.mark.parametrize(
    ("setting", "raw"),
    [
        ("alpha", 0),
        ("alpha", 1),
        ("alpha", 1e-9),
        ("beta", 1e39),
        ("learning_rate", 1e-50),
        ("gamma_clamp", 1e-9),
        ("alpha", "0.2"),
        ("alpha", None),
        ("alpha", {"grid": []}),
        ("alpha", {"grid": [0.2, 2]}),
        ("alpha", {"grid": [0.2], "choice": [0.2]}),
        ("alpha", {"uniform": [0.1]}),
        ("alpha", {"int": [1, 2]}),
        ("gamma_clamp", -0.1),
        ("gamma_clamp", 0.5),
        ("pixel_scaling", "standard"),
        ("initialisation", {"range": ["kaiming", "xavier"]}),
        ("latent_dim", 0),
        ("latent_dim", 2.5),
        ("latent_dim", True),
        ("latent_dim", {"uniform": [1, 2]}),
        ("latent_dim", {"range": [1, 2]}),
        ("hidden", []),
        ("hidden", [0]),
        ("hidden", {"int": [8, 16]}),
        ("model", "gan"),
        ("model", {"uniform": [1, 2]}),
        ("model", {"grid": ["vae", "vsc"]}),
        ("model", {"choice": ["vae"]}),
    ],
)
def test_the_schema_refuses_what_is_wrong_in_its_form(setting: str, raw: Any) -> None:
    assert not is_in_schema(setting, raw)
    with pytest.raises(ValueError, match=r"."):
        parse_domain(setting, raw)


def test_a_range_of_fractions_is_numeric_to_a_sampler() -> None:
    domain = parse_domain("alpha", {"range": [0.1, 0.5, 0.1]})
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = set()
    for _ in range(60):
        trial = study.ask()
        seen.add(domain.suggest(trial, "alpha"))
        assert isinstance(trial.distributions["alpha (place)"], optuna.distributions.IntDistribution)
    assert sorted(seen) == [0.1, 0.2, 0.3, 0.4, 0.5]
