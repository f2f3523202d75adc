"""The scores of a model: pruned, between a floor and a ceiling, of a table made from its posterior means."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.linear_model._base import LinearClassifierMixin
from threadpoolctl import threadpool_info, threadpool_limits

from models.build import build_model
from models.measures.disentanglement import scores
from models.measures.disentanglement.code_table import (
    ACTIVE_STD,
    CodeTable,
    find_active,
    make_perfect_codes,
    make_table,
    prune,
)
from models.measures.disentanglement.scores import make_code_table, measure_dci, measure_scores
from models.measures.metric_names import DCI_METRICS, DISENTANGLEMENT_METRICS
from tests.models.cases import make_images, make_settings
from tests.models.measures.disentanglement.few_points import take_few_points

FACTORS = np.stack(np.meshgrid(*map(np.arange, (3, 4, 5)), indexing="ij"), -1).reshape(-1, 3)  # (60, 3)


@pytest.fixture
def few_points(monkeypatch: pytest.MonkeyPatch) -> None:
    take_few_points(monkeypatch)


@pytest.mark.usefixtures("few_points")
def test_every_score_of_a_perfect_code_is_at_its_ceiling_and_above_its_floor() -> None:
    perfect = make_perfect_codes(FACTORS)
    table = CodeTable(np.hstack([perfect, np.full((len(FACTORS), 4), 3.0)]), FACTORS)
    measured = {f"disentanglement/{name}": value for name, value in measure_scores(table, seed=3).items()}
    assert set(measured) == set(DISENTANGLEMENT_METRICS)
    assert measured["disentanglement/num_active"] == 3
    for name in DISENTANGLEMENT_METRICS:
        if name.endswith("_ceiling"):
            score, floor = measured[name.removesuffix("_ceiling")], measured[name.replace("_ceiling", "_floor")]
            assert score == measured[name], name  # the constant latents were pruned, so it is the same code
            assert score > floor, name


@pytest.mark.usefixtures("few_points")
def test_every_score_of_constant_codes_is_a_number() -> None:
    measured = measure_scores(CodeTable(np.ones((len(FACTORS), 4)), FACTORS), seed=0)
    assert all(map(math.isfinite, measured.values()))
    assert measured["num_active"] == 0
    assert measured["explicitness"] == 0.5
    assert measured["beta_vae"] == pytest.approx(1 / 3, abs=0.1)  # chance, of three factors
    for name in ("factor_vae", "mig", "sap", "modularity", "info_modularity", "info_explicitness", "info_compactness"):
        assert measured[name] == 0, name


@pytest.mark.usefixtures("few_points")
def test_dci_says_how_far_it_is_and_has_a_floor_and_a_ceiling() -> None:
    said: list[str] = []
    factors = np.tile(FACTORS[:, :2], (40, 1))  # so many that noise hardly tells an image by heart
    measured = measure_dci(CodeTable(make_perfect_codes(factors), factors), seed=0, say=said.append)
    assert tuple(f"disentanglement/{name}" for name in sorted(measured)) == tuple(sorted(DCI_METRICS))
    assert said[:3] == [
        "dci of the model's code, 2 latents: 1 of 2 factors done",
        "dci of the model's code, 2 latents: 2 of 2 factors done",
        "dci of noise, 2 latents: 1 of 2 factors done",
    ]
    assert len(said) == 6
    assert measured["dci_disentanglement"] == measured["dci_disentanglement_ceiling"] == pytest.approx(1, abs=1e-6)
    assert measured["dci_informativeness_floor"] < 0.6 < measured["dci_informativeness"]


@pytest.mark.usefixtures("few_points")
def test_scores_depend_on_the_seed_and_on_nothing_else() -> None:
    table = CodeTable(np.random.default_rng(0).standard_normal((len(FACTORS), 2)), FACTORS)
    one, same, other = (measure_scores(table, seed=seed) for seed in (0, 0, 1))
    assert one == same
    assert one["beta_vae"] != other["beta_vae"]


@pytest.mark.usefixtures("few_points")
def test_all_is_computed_on_one_thread_predictions_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the last bits would depend on how many cores a trial has."""
    num_threads: set[int] = set()

    def watch(kind: type, name: str) -> None:
        work = getattr(kind, name)

        def watched(*args: Any) -> Any:
            num_threads.update(pool["num_threads"] for pool in threadpool_info())
            return work(*args)

        monkeypatch.setattr(kind, name, watched)

    for kind, name in ((LinearClassifierMixin, "predict"), (LogisticRegression, "predict_proba")):
        watch(kind, name)
    with threadpool_limits(2):
        measure_scores(CodeTable(make_perfect_codes(FACTORS), FACTORS), seed=0)
    assert num_threads == {1}


def test_a_code_table_holds_the_posterior_means_of_the_images_in_order() -> None:
    settings = make_settings("vsc_sigmoid", latent_dim=4)
    images = make_images(len(FACTORS), (1, 4, 5))
    model = build_model(settings, (1, 4, 5))
    table = make_code_table(model, images, FACTORS)
    with torch.no_grad():
        q = model.posterior(model.to_pixels(images))
        np.testing.assert_allclose(table.codes, (model.latent.slab_prob(q) * model.latent.views(q)["mu"]), atol=1e-6)
    np.testing.assert_array_equal(table.factors, FACTORS)


def test_of_many_images_some_are_encoded_evenly_spaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "MAX_IMAGES", 7)
    images = make_images(25, (1, 4, 5))
    model = build_model(make_settings("vae"), (1, 4, 5))
    factors = np.arange(25)[:, None]
    some = make_code_table(model, images, factors)
    monkeypatch.setattr(scores, "MAX_IMAGES", 25)
    every = make_code_table(model, images, factors)
    np.testing.assert_allclose(some.codes, every.codes[::4], atol=1e-6)
    np.testing.assert_array_equal(some.factors[:, 0], range(7))  # classes 0, 4, ... 24, numbered anew


def test_images_are_drawn_among_those_that_share_the_factors_value() -> None:
    rng = np.random.default_rng(0)
    table = CodeTable(np.arange(len(FACTORS))[:, None], FACTORS)
    values = np.array([[0, 3, 2], [2, 1, 1]])
    drawn = np.stack([table.draw_sharing(rng, 1, values)[..., 0] for _ in range(400)])
    np.testing.assert_array_equal(FACTORS[drawn][..., 1], np.broadcast_to(values, drawn.shape))
    own = np.flatnonzero(FACTORS[:, 1] == 3)
    counts = np.array([(drawn[:, 0, 1] == row).sum() for row in own])
    assert counts.min() > 0  # each of 15 images, of 400 draws, with a probability of 1 - 1.5e-11
    assert counts.max() < 60


def test_sets_of_images_are_disjoint_and_keep_their_proportions_in_a_small_table() -> None:
    table = CodeTable(np.arange(len(FACTORS))[:, None], FACTORS)
    (train, y), (test, truth) = table.split(np.random.default_rng(0), 20, 10)
    assert (len(train), len(test)) == (20, 10)
    assert len(set(train[:, 0]) | set(test[:, 0])) == 30
    np.testing.assert_array_equal(y, FACTORS[train[:, 0]])
    np.testing.assert_array_equal(truth, FACTORS[test[:, 0]])
    (train, _), (test, _) = table.split(np.random.default_rng(0), 1000, 500)
    assert (len(train), len(test)) == (40, 20)


def test_factors_that_do_not_vary_are_left_out_and_values_are_numbered_from_zero() -> None:
    factors = np.array([[7, 4, 1], [7, 2, 0], [7, 4, 1]])
    np.testing.assert_array_equal(make_table(np.zeros((3, 1)), factors).factors, [[1, 1], [0, 0], [1, 1]])
    with pytest.raises(ValueError, match="the factors of the images do not vary"):
        make_table(np.zeros((3, 1)), factors[:, :1])


def test_latents_below_the_least_spread_are_pruned_and_a_constant_stands_for_none() -> None:
    sign = np.where(np.arange(200) % 2, 1.0, -1.0)[:, None]
    codes = sign * ACTIVE_STD * np.array([[1.02, 0.98, 0.0, 3.0]]) + np.array([[0.0, 5.0, 1.0, 2.0]])
    np.testing.assert_array_equal(find_active(codes), [True, False, False, True])
    pruned = prune(CodeTable(codes, np.zeros((200, 1), int)))
    np.testing.assert_array_equal(pruned.codes, codes[:, [0, 3]])
    np.testing.assert_array_equal(prune(CodeTable(codes[:, 1:3], np.zeros((200, 1), int))).codes, np.zeros((200, 1)))
