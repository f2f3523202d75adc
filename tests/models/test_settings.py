"""TrialSettings: what is legal, what it becomes, and how the rest is refused."""

import dataclasses
import json
import math
from typing import Any, get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.choices import (
    NETWORKS,
    GammaLink,
    Initialisation,
    ModelName,
    Network,
    PixelScaling,
    Randomness,
    SharpnessSchedule,
)
from models.setting import MIN_PROB, SETTINGS, belongs, check_setting
from models.settings import DEFAULTS, TrialSettings
from tests.models.cases import AS_FIRST_PUBLISHED, OTHER_OBJECTIVES, OTHER_SPARSE, VSC_ONLY

VAE: dict[str, Any] = {"model": "vae", "latent_dim": 8}
VSC: dict[str, Any] = {"model": "vsc", "latent_dim": 8, "alpha": 0.2}
MODELS_WITH_MORE: list[dict[str, Any]] = [
    {"latent_dim": 8} | kind for kind in (OTHER_OBJECTIVES | AS_FIRST_PUBLISHED | OTHER_SPARSE).values()
]

positive = st.floats(1.2e-38, 3.4e38)
shared = {
    "latent_dim": st.integers(1, 10**6),
    "pixel_scaling": st.sampled_from(get_args(PixelScaling)),
    "initialisation": st.sampled_from(get_args(Initialisation)),
    "randomness": st.sampled_from(get_args(Randomness)),
    "beta": positive,
    "hidden": st.lists(st.integers(1, 10**6), min_size=1, max_size=4).map(tuple),
    "learning_rate": positive,
    "batch_size": st.integers(1, 10**6),
    "epochs": st.integers(1, 10**6),
    "num_validation": st.integers(0, 10**6),
    "seed": st.integers(0, 2**63),
}
vaes = st.builds(TrialSettings, model=st.just("vae"), **shared)
vscs = st.builds(
    TrialSettings,
    model=st.just("vsc"),
    alpha=st.floats(MIN_PROB, 1 - MIN_PROB),
    gamma_link=st.sampled_from([None, *get_args(GammaLink)]),
    gamma_clamp=st.one_of(st.none(), st.just(0), st.floats(MIN_PROB, 0.5, exclude_max=True)),
    sharpness=st.none() | positive,
    sharpness_schedule=st.sampled_from([None, *get_args(SharpnessSchedule)]),
    **shared,
)

WHOLE = ["latent_dim", "batch_size", "epochs", "images_per_epoch", "num_validation", "seed"]
POSITIVE = ["beta", "learning_rate"]


@given(settings=st.one_of(vaes, vscs))
def test_settings_survive_json(settings: TrialSettings) -> None:
    assert TrialSettings(**json.loads(json.dumps(settings.to_dict()))) == settings


@given(settings=st.one_of(vaes, vscs))
def test_every_value_has_the_type_that_its_setting_says(settings: TrialSettings) -> None:
    values = settings.to_dict()
    assert all(type(values[name]) is int for name in WHOLE)
    assert all(type(values[name]) is float for name in POSITIVE)
    assert type(settings.hidden) is tuple
    assert all(type(width) is int for width in settings.hidden)


def test_only_model_and_latent_dim_have_to_be_given_for_a_vae() -> None:
    assert TrialSettings(**VAE).to_dict() == VAE | {
        "pixel_scaling": "minmax",
        "binarisation": "none",
        "likelihood": "bernoulli",
        "network": "mlp",
        "initialisation": "kaiming",
        "beta": 1.0,
        "hidden": [400],
        "activation": "relu",
        "learning_rate": 1e-3,
        "batch_size": 32,
        "epochs": 11,
        "images_per_epoch": 0,
        "precision": "float32",
        "randomness": "counter",
        "num_validation": 0,
        "seed": 0,
    }
    with pytest.raises(TypeError, match="latent_dim"):
        TrialSettings(model="vae")


def test_a_vsc_gets_the_link_and_the_schedule_of_the_reports_code() -> None:
    settings = TrialSettings(**VSC)
    assert (settings.gamma_link, settings.sharpness_schedule) == ("exp_relu", "per_epoch")
    assert settings.gamma_clamp == MIN_PROB
    given = TrialSettings(**VSC, gamma_link="sigmoid", gamma_clamp=0, sharpness_schedule="ramp")
    assert (given.gamma_link, given.gamma_clamp, given.sharpness_schedule) == ("sigmoid", 0.0, "ramp")


def test_a_default_spelled_out_is_the_same_trial_as_one_left_out() -> None:
    assert TrialSettings(**VSC, gamma_link="exp_relu", sharpness_schedule="per_epoch") == TrialSettings(**VSC)


def test_a_vae_is_stored_without_the_settings_of_a_vsc() -> None:
    assert not set(VSC_ONLY) & TrialSettings(**VAE).to_dict().keys()
    assert set(VSC_ONLY) <= TrialSettings(**VSC).to_dict().keys()


class TestSettingsThatMeanSomethingWithOthersOnly:
    def test_they_are_stored_only_there(self) -> None:
        assert "architecture" not in TrialSettings(**VAE).to_dict()
        stored = TrialSettings(**VAE, network="conv", architecture="burgess").to_dict()
        assert not {"hidden", "activation"} & stored.keys()
        assert stored["architecture"] == "burgess"
        assert TrialSettings.from_dict(stored).to_dict() == stored

    @pytest.mark.parametrize(
        ("given", "refusal"),
        [
            ({"architecture": "burgess"}, "architecture: network mlp has none; remove it, or set network: conv"),
            ({"network": "conv", "hidden": [8]}, "hidden: network conv has none; remove it, or set network: mlp"),
            ({"variance": "shared"}, "variance: likelihood bernoulli has none; remove it, or set likelihood: gaussian"),
            ({"pixel_sd": 0.2}, "pixel_sd: likelihood bernoulli has none; remove it, or set likelihood: gaussian"),
            (
                {"likelihood": "gaussian", "pixel_sd": 0.2},
                "pixel_sd: variance per_pixel has none; remove it, or set variance: fixed or shared",
            ),
            ({"network": "conv", "activation": "tanh"}, "activation: network conv has none; remove it, or set"),
        ],
    )
    def test_elsewhere_they_are_refused(self, given: dict[str, Any], refusal: str) -> None:
        with pytest.raises(ValueError, match=f"^{refusal}"):
            TrialSettings(**VAE, **given)

    def test_a_gaussian_does_not_go_with_the_reproductions_random_numbers(self) -> None:
        with pytest.raises(ValueError, match=r"^randomness: .*; set randomness: counter, or likelihood: bernoulli$"):
            TrialSettings(**VAE, likelihood="gaussian", randomness="report")

    def test_a_variance_for_each_pixel_takes_a_network_of_ours(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(NETWORKS, "other", Network(lambda *_: None))
        with pytest.raises(ValueError, match=r"^variance: .* of a plug-in .*; set variance: fixed or shared$"):
            TrialSettings(**VAE, network="other", likelihood="gaussian")
        TrialSettings(**VAE, network="other", likelihood="gaussian", variance="shared")

    def test_elsewhere_their_default_does_no_harm(self) -> None:
        assert TrialSettings(**VAE, architecture="report") == TrialSettings(**VAE)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrialSettings(**VAE).latent_dim = 3  # type: ignore[misc]


def test_every_setting_says_what_it_means() -> None:
    assert all(len(field.metadata["help"]) > 10 for field in SETTINGS.values())


@pytest.mark.parametrize(
    ("name", "given", "meant"),
    [
        ("latent_dim", 8.0, 8),
        ("beta", 2, 2.0),
        ("learning_rate", 1, 1.0),
        ("hidden", [400, 200], (400, 200)),
        ("hidden", 400, (400,)),
        ("hidden", [400.0], (400,)),
        ("alpha", None, None),
        ("gamma_link", None, None),
    ],
)
def test_a_value_becomes_what_is_meant(name: str, given: Any, meant: Any) -> None:
    checked = check_setting(name, given)
    assert checked == meant
    assert type(checked) is type(meant)


FLOAT32 = r"inside \[1.2e-38, 3.4e\+38\]"
REFUSED = [
    ("model", "gan", "vae, vsc"),
    ("model", None, "vae, vsc"),
    ("model", ["vae"], "vae, vsc"),
    ("gamma_link", "relu", "exp_relu, sigmoid"),
    *(
        ("gamma_clamp", bad, r"not 0 or inside \[1e-06, 0.5\); give a number such as 1e-06")
        for bad in (-1e-9, 1e-9, 9e-7, 0.5, 1, math.nan, math.inf, 10**400)
    ),
    *(("gamma_clamp", bad, "a number, such as 0.2") for bad in ("0", False)),
    ("kl_from", "v", "gamma, logits"),
    ("estimator", "reinforce", "relaxed, straight_through, disarm"),
    ("sharpness_schedule", "linear", "per_step, per_epoch, ramp"),
    *(("sharpness", bad, rf"{FLOAT32}; give a number such as 50") for bad in (0, -1.0, math.inf, math.nan, 1e39)),
    *(("sharpness", bad, "a number, such as 0.2") for bad in ("50", True)),
    ("pixel_scaling", "standard", "minmax, unit_norm"),
    ("binarisation", True, "none, static, dynamic"),
    ("initialisation", "zeros", "kaiming, xavier"),
    ("activation", "sigmoid", "relu, tanh"),
    ("network", "transformer", "mlp, conv"),
    ("likelihood", "laplace", "bernoulli, gaussian"),
    ("variance", 0.1, "fixed, shared, per_pixel"),
    ("pixel_sd", 0, "give a number such as 0.1"),
    ("architecture", "resnet", "report, locatello, burgess"),
    ("precision", "float16", "float32, tf32, bf16"),
    ("randomness", "global", "counter, report"),
    *((name, bad, "whole number, such as 16") for name in WHOLE for bad in ("8", 8.5, True, None, math.nan, math.inf)),
    *((name, -1, f"at least {low}") for name, low in zip(WHOLE, (1, 1, 1, 0, 0, 0), strict=True)),
    *((name, 0, "at least 1") for name in ("latent_dim", "batch_size", "epochs")),
    *((name, bad, "a number, such as 0.2") for name in (*POSITIVE, "alpha") for bad in ("0.2", False, [0.2])),
    *((name, None, "a number") for name in POSITIVE),
    *(
        (name, bad, f"{FLOAT32}; give a number such as")
        for name in POSITIVE
        for bad in (0, -1.0, 1e-45, 1e-39, 3.5e38, math.inf, math.nan, 10**400, -(10**400))
    ),
    *(
        ("alpha", bad, r"inside \[1e-06, 0.999999\]; give a number such as 0.2")
        for bad in (0, 1, -0.1, 1.1, 1e-300, 1e-9, 9.99e-7, 0.9999999999, math.nan, 10**400)
    ),
    ("num_pseudo_inputs", 0, "at least 1"),
    ("selector", "hard", "sharpened, normalised, soft"),
    ("pseudo_gammas", "soft", "encoded, sharpened"),
    ("sparsity_of", "all", "each, mixture"),
    ("warm_up", "linear", "variance, log_variance"),
    *((name, -1, "at least 0") for name in ("warm_up_from", "warm_up_to")),
    ("drop_after", 0, "at least 1"),
    ("drop_moments", "none", "kept, fresh"),
    ("batch_order", "random", "shuffled, sequential"),
    ("capacity", -1, "not 0 or inside"),
    *(("capacity_steps", bad, fix) for bad, fix in ((0, "at least 1"), (2.5, "whole number"))),
    ("tc_weight", -1, "not 0 or inside"),
    ("tc_weight", "high", "a number, such as 0.2"),
    ("discriminator_width", 0, "at least 1"),
    ("hidden", [], r"such as \[400\]"),
    ("hidden", [16, 0], "at least 1"),
    ("hidden", [16, 0.5], "whole number"),
    ("hidden", "400", "whole number"),
    ("hidden", None, "whole number"),
]


@pytest.mark.parametrize(("name", "value", "fix"), REFUSED, ids=[f"{n}={str(v)[:9]}" for n, v, _ in REFUSED])
def test_a_wrong_value_is_refused_with_the_setting_and_the_fix(name: str, value: Any, fix: str) -> None:
    """The same sentence from the settings of a trial as from a study file that gives one value of many."""
    model = VSC if belongs(name, "vsc") else next(m for m in MODELS_WITH_MORE if belongs(name, m["model"]))
    with pytest.raises(ValueError, match=f"^{name}: .*{fix}"):
        TrialSettings(**(model | {name: value}))
    with pytest.raises(ValueError, match=f"^{name}: .*{fix}"):
        check_setting(name, value)


@given(st.data())
def test_training_computes_with_every_legal_number_as_it_is_given(data: st.DataObject) -> None:
    """Rounded to float32, and clamped where probabilities are: what replaces a number is no legal number."""
    for name in ("alpha", "gamma_clamp", "beta", "learning_rate", "sharpness"):
        meta = SETTINGS[name].metadata
        number = data.draw(st.floats(meta["at_least"], meta["below"] or meta["at_most"]))
        tensor = torch.tensor(number)
        assert tensor.item() == pytest.approx(number, rel=1e-7)
        if name in ("alpha", "gamma_clamp"):
            assert tensor.clamp(MIN_PROB, 1 - MIN_PROB) == tensor
            assert 0 < (1 - tensor).item() == pytest.approx(1 - number, rel=0.03)


def test_every_setting_has_a_wrong_value_among_those_refused() -> None:
    assert {name for name, _, _ in REFUSED} == set(SETTINGS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("alpha", 0.2),
        ("gamma_link", "sigmoid"),
        ("gamma_clamp", 0.0),
        ("sharpness", 60.0),
        ("sharpness_schedule", "ramp"),
        ("kl_from", "logits"),
        ("estimator", "disarm"),
    ],
)
def test_a_setting_of_the_vsc_is_refused_for_a_vae(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name}: a vae has none; remove it, or set model: vsc"):
        TrialSettings(**VAE, **{name: value})


@pytest.mark.parametrize(("name", "value"), [("randomness", "report"), ("estimator", "disarm")])
def test_a_discriminator_is_refused_where_it_makes_no_sense(name: str, value: str) -> None:
    settings = {"latent_dim": 8} | OTHER_OBJECTIVES["factor_vsc"]
    with pytest.raises(
        ValueError, match=f"^{name}: {value} does not go with a discriminator; set {name}: {DEFAULTS[name]}, or a model"
    ):
        TrialSettings(**settings | {name: value})


def test_images_of_an_epoch_fill_a_batch_at_least_and_are_all_of_them_in_the_reproduction() -> None:
    with pytest.raises(ValueError, match=r"^images_per_epoch: fewer than a batch of 32; give as many"):
        TrialSettings(**VAE, images_per_epoch=31)
    with pytest.raises(ValueError, match=r"^images_per_epoch: .*; set it to 0, or randomness: counter"):
        TrialSettings(**VAE, images_per_epoch=32, randomness="report")
    assert [TrialSettings(**VAE, images_per_epoch=n).count_images(100) for n in (0, 32, 500)] == [100, 32, 100]


def test_a_factor_vae_without_a_weight_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^tc_weight: a factor_vae needs one; give one such as 10"):
        TrialSettings(model="factor_vae", latent_dim=8)


def test_a_vsc_without_alpha_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^alpha: a vsc needs one; give one such as 0\.2"):
        TrialSettings(model="vsc", latent_dim=8)


@pytest.mark.parametrize("binarisation", ["static", "dynamic"])
@pytest.mark.parametrize(
    ("name", "value", "fix"), [("pixel_scaling", "unit_norm", "minmax"), ("randomness", "report", "counter")]
)
def test_binary_pixels_are_refused_where_they_make_no_sense(binarisation: str, name: str, value: str, fix: str) -> None:
    grey, binary = (TrialSettings(**VAE | changes) for changes in ({name: value}, {"binarisation": binarisation}))
    assert (getattr(grey, name), binary.binarisation) == (value, binarisation)
    with pytest.raises(
        ValueError, match=f"^binarisation: .* {name}: {value}; set {name}: {fix}, or binarisation: none"
    ):
        TrialSettings(**VAE, **{name: value, "binarisation": binarisation})


def test_every_model_has_settings_that_are_legal() -> None:
    made = {TrialSettings(**values).model for values in (VAE, VSC, *MODELS_WITH_MORE)}
    assert made == set(get_args(ModelName))
