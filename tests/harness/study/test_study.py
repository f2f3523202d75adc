"""What a study's file stands for: its sub-spaces, its configurations, its settings and its metrics."""

from pathlib import Path
from typing import Any

import pytest

from harness.errors import InputError
from harness.metrics import EVALUATION_METRICS, TEST_METRICS, TRAIN_METRICS, VALIDATION_METRICS
from models.settings import TrialSettings
from tests.harness.small_studies import ALPHA, LATENTS, RANDOM, SEEDS, TPE, edit, enumerate_grid, load


def configurations(folder: Path, text: str) -> list[dict[str, Any]]:
    return enumerate_grid(load(folder, text))


def test_a_grid_is_the_union_of_products_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = configurations(tmp_path, edit("alpha: 0.2", "alpha: {grid: [0.5, 0.2]}"))
    assert [(c["model"], c["latent_dim"], c.get("alpha")) for c in found] == [
        ("vae", 2, None),
        ("vsc", 2, 0.5),
        ("vsc", 2, 0.2),
        ("vsc", 4, 0.5),
        ("vsc", 4, 0.2),
    ]


def test_defaults_hold_in_every_sub_space_and_give_way_to_its_own(tmp_path: Path) -> None:
    found = configurations(tmp_path, edit("latent_dim: 2\n", "latent_dim: 2\n    epochs: 7\n"))
    assert [c["epochs"] for c in found] == [7, 2, 2]
    assert {c["hidden"] for c in found} == {(8,)}


def test_defaults_can_be_domains(tmp_path: Path) -> None:
    found = configurations(tmp_path, edit("epochs: 2", "epochs: {grid: [2, 3]}"))
    assert [c["epochs"] for c in found] == [2, 3, 2, 2, 3, 3]


def test_the_model_can_stand_under_defaults(tmp_path: Path) -> None:
    text = "name: a\ndataset: digits\ndefaults: {model: vsc, alpha: 0.3}\nspace:\n- latent_dim: 2\n- latent_dim: 3\n"
    assert configurations(tmp_path, text) == [
        {"model": "vsc", "alpha": 0.3, "latent_dim": 2},
        {"model": "vsc", "alpha": 0.3, "latent_dim": 3},
    ]


def test_defaults_of_the_spike_do_not_reach_a_vae(tmp_path: Path) -> None:
    text = edit("epochs: 2", "epochs: 2\n  alpha: 0.7\n  gamma_link: sigmoid\n  sharpness_schedule: ramp")
    vae, vsc, _ = configurations(tmp_path, text)
    assert vae.keys().isdisjoint({"alpha", "gamma_link", "sharpness_schedule"})
    assert (vsc["alpha"], vsc["gamma_link"], vsc["sharpness_schedule"]) == (0.2, "sigmoid", "ramp")


def test_defaults_of_one_network_do_not_reach_another(tmp_path: Path) -> None:
    text = edit("    alpha: 0.2", "    alpha: 0.2\n    network: conv", edit("epochs: 2", "architecture: burgess"))
    vae, vsc, _ = configurations(tmp_path, text)
    assert vae["hidden"] == (8,)
    assert vsc["architecture"] == "burgess"
    assert not {"architecture"} & vae.keys()
    assert not {"hidden"} & vsc.keys()


def test_only_settings_that_mean_something_are_compared_between_sub_spaces(tmp_path: Path) -> None:
    text = "name: a\ndataset: digits\ndefaults: {model: vae, latent_dim: 2}\nspace:\n- hidden: [8]\n- network: conv\n"
    assert load(tmp_path, text).varied_settings == ("network",)


def test_a_setting_left_out_takes_its_default_when_resolved(tmp_path: Path) -> None:
    study = load(tmp_path, edit("  hidden: [8]\n", ""))
    vae, vsc, _ = (study.resolve(c, 3, num_train=100) for c in enumerate_grid(study))
    assert vae == TrialSettings(model="vae", latent_dim=2, epochs=2, seed=3)
    assert (vae.hidden, vae.batch_size, vae.gamma_link) == ((400,), 32, None)
    assert (vsc.alpha, vsc.gamma_link, vsc.sharpness_schedule) == (0.2, "exp_relu", "per_epoch")


ASHA = SEEDS + "scheduler: {name: asha}\n"


@pytest.mark.parametrize(
    ("search", "default", "expected"),
    [
        (SEEDS, "", 0),
        (RANDOM, "", 0),
        (TPE, "", 250),  # a sixth of 1503
        (ASHA, "", 250),
        (SEEDS, "\n  num_validation: 40", 40),
        (TPE, "\n  num_validation: 40", 40),
    ],
)
def test_validation_images_are_held_out_where_metrics_steer(
    tmp_path: Path, search: str, default: str, expected: int
) -> None:
    study = load(tmp_path, edit(SEEDS, search, edit("epochs: 2", "epochs: 2" + default)))
    resolved = study.resolve({"model": "vae", "latent_dim": 2} | ({"num_validation": 40} if default else {}), 0,
                             num_train=1503)  # fmt: skip
    assert resolved.num_validation == expected


def test_a_search_cannot_do_without_validation_images(tmp_path: Path) -> None:
    study = load(tmp_path, edit(SEEDS, TPE))
    with pytest.raises(ValueError, match="num_validation: 0, but a search needs validation images"):
        study.resolve({"model": "vae", "latent_dim": 2, "num_validation": 0}, 0, num_train=100)


def test_a_metric_may_be_kept_between_two_bounds_or_at_one(tmp_path: Path) -> None:
    for upper in ("-30", "-40"):
        bounds = f"constraints: [val/elbo >= -40, val/elbo <= {upper}]"
        study = load(tmp_path, edit(SEEDS, TPE.replace("num_trials: 6", f"num_trials: 6, {bounds}")))
        assert len(study.search.constraints) == 2


@pytest.mark.parametrize("held_out", [100, 101])
def test_some_images_must_be_left_to_train_on(tmp_path: Path, held_out: int) -> None:
    study = load(tmp_path, edit(SEEDS, SEEDS))
    with pytest.raises(ValueError, match=f"num_validation: {held_out} of 100 training images; leave some"):
        study.resolve({"model": "vae", "latent_dim": 2, "num_validation": held_out}, 0, num_train=100)


@pytest.mark.parametrize(
    ("search", "metric", "mode"),
    [
        (SEEDS, "test/loss", "min"),
        (RANDOM, "test/loss", "min"),
        (TPE, "val/elbo", "max"),
        (ASHA, "val/elbo", "max"),
        (SEEDS + "search: {metric: test/elbo}\n", "test/elbo", "max"),
        (SEEDS + "search: {metric: test/rate}\n", "test/rate", "min"),
        (SEEDS + "search: {metric: code/hoyer, mode: max}\n", "code/hoyer", "max"),
        (TPE.replace("6}", "6, metric: val/loss}"), "val/loss", "min"),
        (TPE.replace("6}", "6, metric: train/distortion}"), "train/distortion", "min"),
    ],
)
def test_losses_are_minimised_and_bounds_maximised(tmp_path: Path, search: str, metric: str, mode: str) -> None:
    study = load(tmp_path, edit(SEEDS, search))
    assert (study.metric, study.mode) == (metric, mode)


def test_the_metrics_of_a_study_are_those_of_its_epochs_and_of_what_it_evaluates(tmp_path: Path) -> None:
    always = [*TRAIN_METRICS, *TEST_METRICS, *VALIDATION_METRICS]
    assert load(tmp_path, edit(SEEDS, "evaluate: []\n")).list_metrics() == always
    found = load(tmp_path, edit(SEEDS, "evaluate: [iw_bound, elbo]\n")).list_metrics()
    assert found == [*always, "test/iw_bound", *EVALUATION_METRICS["elbo"]]


def test_metrics_of_validation_may_be_shown_where_images_are_held_out(tmp_path: Path) -> None:
    text = edit(SEEDS, "search: {metric: val/elbo}\n", edit("epochs: 2", "num_validation: 40"))
    assert load(tmp_path, text).metric == "val/elbo"


def test_to_hold_out_no_image_is_not_to_hold_out(tmp_path: Path) -> None:
    none = edit("epochs: 2", "epochs: 2\n  num_validation: 0")
    assert load(tmp_path, none).metric == "test/loss"
    with pytest.raises(InputError, match="val/elbo needs validation images"):
        load(tmp_path, edit(SEEDS, "search: {metric: val/elbo}\n", none))
    some = edit("epochs: 2", "epochs: 2\n  num_validation: {grid: [40, 0]}")
    assert load(tmp_path, some).metric == "val/elbo"


def test_the_reports_numbers_are_not_for_a_gpu(tmp_path: Path) -> None:
    ours, theirs = (
        edit("epochs: 2", f"epochs: 2\n  randomness: {{grid: [{names}]}}") for names in ("counter", "counter, report")
    )
    with_gpu = SEEDS + "resources: {gpu: 0.1}\n"
    load(tmp_path, edit(SEEDS, with_gpu, ours))
    load(tmp_path, theirs)
    with pytest.raises(InputError, match=r"resources\.gpu: .* drawn on the CPU; set gpu: 0, or randomness: counter"):
        load(tmp_path, edit(SEEDS, with_gpu, theirs))


def test_binary_pixels_are_refused_with_what_does_not_go_with_them_before_a_trial_is_planned(tmp_path: Path) -> None:
    load(tmp_path, edit("epochs: 2", "epochs: 2\n  binarisation: {grid: [none, static, dynamic]}"))
    load(tmp_path, edit("epochs: 2", "epochs: 2\n  binarisation: none\n  pixel_scaling: unit_norm"))
    both = edit("epochs: 2", "epochs: 2\n  binarisation: dynamic\n  pixel_scaling: {grid: [minmax, unit_norm]}")
    with pytest.raises(InputError, match=r"defaults\.binarisation: .* unit_norm; set pixel_scaling: minmax"):
        load(tmp_path, both)


@pytest.mark.parametrize(
    ("setting", "value", "fix"), [("estimator", "disarm", "relaxed"), ("randomness", "report", "counter")]
)
def test_a_discriminator_is_refused_with_what_does_not_go_with_it_before_a_trial_is_planned(
    tmp_path: Path, setting: str, value: str, fix: str
) -> None:
    factor = edit("vsc\n", "factor_vsc\n    tc_weight: 10\n")
    load(tmp_path, factor)
    with pytest.raises(
        InputError, match=rf"space\[1\]\.{setting}: {value} does not go with a discriminator; set .*{fix}"
    ):
        load(tmp_path, edit("    alpha", f"    {setting}: {{grid: [{fix}, {value}]}}\n    alpha", factor))


def test_the_largest_study_is_taken(tmp_path: Path) -> None:
    load(tmp_path, edit(LATENTS, "{range: [1, 49999, 1]}"))  # two seeds, and a vae
    load(tmp_path, edit(SEEDS, "search: {sampler: random, num_trials: 100000}\n"))


def test_random_search_takes_intervals(tmp_path: Path) -> None:
    study = load(tmp_path, edit(SEEDS, RANDOM, edit(ALPHA, "{uniform: [0.1, 0.3]}")))
    assert study.search.num_trials == 6


@pytest.mark.parametrize(
    ("old", "new", "varied"),
    [
        ("epochs: 2", "epochs: 2", ("latent_dim",)),
        ("epochs: 2", "epochs: {grid: [2, 3]}", ("latent_dim", "epochs")),
        ("epochs: 2", "learning_rate: {grid: [1.0e-3]}", ("latent_dim",)),
        (
            "alpha: 0.2",
            "alpha: 0.2\n  - {model: vsc, latent_dim: 2, alpha: 0.3, beta: 2}",
            ("latent_dim", "alpha", "beta"),
        ),
        ("latent_dim: 2\n", "latent_dim: 2\n    beta: 3\n", ("latent_dim",)),  # of the only VAE
        (
            "alpha: 0.2",
            "alpha: 0.2\n  - {model: vsc, latent_dim: 2, alpha: 0.2, gamma_link: exp_relu}",
            ("latent_dim",),
        ),  # the default
    ],
)
def test_what_varies_is_what_trials_of_one_model_differ_in(
    tmp_path: Path, old: str, new: str, varied: tuple[str, ...]
) -> None:
    study = load(tmp_path, edit(old, new))
    assert study.varied_settings == varied
    assert study == load(tmp_path, edit(old, new))  # whatever was computed of it


def test_a_default_that_is_spelled_out_is_no_difference(tmp_path: Path) -> None:
    vsc = "- {model: vsc, latent_dim: 2, alpha: 0.2"
    text = f"name: demo\ndataset: digits\nspace:\n{vsc}}}\n{vsc}, gamma_link: LINK, hidden: {{grid: [8, 9]}}}}\n"
    assert load(tmp_path, text.replace("LINK", "exp_relu")).varied_settings == ("hidden",)
    assert load(tmp_path, text.replace("LINK", "sigmoid")).varied_settings == ("gamma_link", "hidden")
