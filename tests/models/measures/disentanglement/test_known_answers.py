"""Each score of codes whose score is known, and the exact scores of matrices."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from models.measures.disentanglement.beta_vae import score_beta_vae
from models.measures.disentanglement.code_table import CodeTable, Floats
from models.measures.disentanglement.dci import compute_completeness, compute_disentanglement, score_dci
from models.measures.disentanglement.explicitness import _score_factor, score_explicitness
from models.measures.disentanglement.factor_vae import score_factor_vae
from models.measures.disentanglement.fitting import fitting, standardise
from models.measures.disentanglement.infomec import (
    _measure_information,
    _score_explicitness,
    compute_concentration,
    score_infomec,
)
from models.measures.disentanglement.mig import compute_mig
from models.measures.disentanglement.modularity import compute_modularity
from models.measures.disentanglement.mutual_information import measure_information
from models.measures.disentanglement.sap import compute_gap, score_sap
from tests.models.measures.disentanglement.known_codes import (
    DRAWS,
    KNOWN,
    LOOSE,
    SCORES,
    TOLERANCE,
    make_known_table,
)

Score = Callable[[CodeTable, np.random.Generator], float]
SCORE: dict[str, Score] = {
    "factor_vae": score_factor_vae,
    "beta_vae": score_beta_vae,
    "mig": lambda table, rng: compute_mig(*measure_information(table, rng)),
    "sap": score_sap,
    "modularity": lambda table, rng: compute_modularity(measure_information(table, rng)[0]),
    "explicitness": score_explicitness,
}
INFOMEC = ("info_modularity", "info_explicitness", "info_compactness")
AT_ONCE = ("positions_turned", "constant")  # codes whose scores take a second or two


@pytest.fixture(autouse=True)
def _fitted_as_in_a_trial() -> Iterator[None]:
    with fitting():
        yield


def known(code: str, score: str) -> Any:
    return pytest.approx(KNOWN[code][SCORES.index(score)], abs=LOOSE.get((code, score), TOLERANCE))


OFTEN = ("perfect", "positions_turned", "noise", "constant")
codes = [pytest.param(code, marks=() if code in OFTEN else pytest.mark.slow) for code in KNOWN]


@pytest.mark.parametrize("score", [score for score in SCORE if score != "explicitness"])
@pytest.mark.parametrize("code", codes)
def test_a_score_of_a_known_code_is_the_known_one(code: str, score: str) -> None:
    assert SCORE[score](make_known_table(code), np.random.default_rng(0)) == known(code, score)


def check_slower_scores(code: str) -> None:
    explicitness = SCORE["explicitness"](make_known_table(code), np.random.default_rng(0))
    assert explicitness == known(code, "explicitness")
    assert score_infomec(make_known_table(code), np.random.default_rng(0)) == tuple(known(code, n) for n in INFOMEC)


@pytest.mark.parametrize("code", AT_ONCE)
def test_explicitness_and_infomec_of_a_code_are_the_known_ones(code: str) -> None:
    check_slower_scores(code)


@pytest.mark.slow
@pytest.mark.parametrize("code", [code for code in KNOWN if code not in AT_ONCE])
def test_explicitness_and_infomec_of_every_known_code_are_the_known_ones(code: str) -> None:
    check_slower_scores(code)


@pytest.mark.parametrize("place", DRAWS)
def test_where_chance_decides_the_known_score_is_one_of_what_it_gives(place: tuple[str, str]) -> None:
    mean, spread = DRAWS[place]
    assert abs(KNOWN[place[0]][SCORES.index(place[1])] - mean) < 2 * spread
    assert 2 * spread > TOLERANCE / 2, "elsewhere the tolerance of the others holds"


@pytest.mark.slow
@pytest.mark.parametrize("place", DRAWS)
def test_scores_that_chance_decides_spread_as_they_are_said_to(place: tuple[str, str]) -> None:
    code, score = place
    found = []
    for seed in range(10):
        table, rng = make_known_table.__wrapped__(code, seed), np.random.default_rng(seed)
        if score == "modularity":
            found.append(SCORE[score](table, rng))
        else:
            ((codes, factors),) = table.split(rng, 10_000)
            (codes,) = standardise(codes)
            information = _measure_information(codes, factors, seed=seed)
            found.append(compute_concentration(information.T if score == "info_modularity" else information))
    mean, spread = DRAWS[place]
    assert abs(np.mean(found) - mean) < 3 * spread / math.sqrt(5), "of a mean of ten less another of ten"
    assert 1 / 3 < np.std(found, ddof=1) / spread < 3, (
        "one of ten draws each, beyond which chance lies once in 300 times"
    )


@pytest.mark.slow
@pytest.mark.parametrize(("code", "scores"), [("perfect", (1, 1, 1)), ("duplicated", (1, 0.705, 1))])
def test_dci_of_a_known_code_is_the_known_one(code: str, scores: tuple[float, float, float]) -> None:
    assert score_dci(make_known_table(code), np.random.default_rng(0)) == pytest.approx(scores, abs=0.02)


@pytest.mark.slow
def test_dci_of_noise_is_near_zero_and_its_informativeness_is_chance() -> None:
    disentanglement, completeness, informativeness = score_dci(make_known_table("noise"), np.random.default_rng(0))
    assert (disentanglement, completeness) == pytest.approx((0, 0), abs=0.02)
    assert informativeness == pytest.approx(np.mean([1 / 3, 1 / 6, 1 / 40, 1 / 32, 1 / 32]), abs=0.03)


def test_dci_of_a_constant_is_zero_and_its_informativeness_is_that_of_the_commonest_value() -> None:
    rng = np.random.default_rng(0)
    factors = (rng.random((500, 2)) < 0.25).astype(np.int64)
    done: list[int] = []
    scores = score_dci(CodeTable(np.zeros((500, 1)), factors), rng, num_train=200, num_test=200, on_factor=done.append)
    assert (scores.disentanglement, scores.completeness) == (0, 0)
    assert scores.informativeness == pytest.approx(0.75, abs=0.06)
    assert done == [1, 2]


def test_explicitness_counts_a_value_that_no_image_to_fit_on_has_among_the_rest() -> None:
    codes, new = np.array([[-1.0], [-0.9], [0.9], [1.0]]), np.array([[-1.0], [0.0], [1.0]])
    assert _score_factor(codes, np.array([0, 0, 1, 1]), new, np.array([0, 2, 1])) == 1
    assert _score_factor(codes, np.array([0, 0, 1, 1]), new, np.array([2, 0, 1])) == 0.75  # 1 of two, and 0.5


IDENTITY = np.eye(4)
TWICE = np.vstack([IDENTITY, IDENTITY])
SHARED = np.array([[1.0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])  # the first code tells of two factors
NOTHING = np.zeros((3, 4))
ONE_EMPTY = np.array([[1.0, 0], [0, 1], [0, 0]])


@pytest.mark.parametrize(
    ("compute", "matrix", "score"),
    [
        (compute_disentanglement, IDENTITY, 1),
        (compute_completeness, IDENTITY, 1),
        (compute_modularity, IDENTITY, 1),
        (compute_concentration, IDENTITY, 1),
        (compute_disentanglement, TWICE, 1),
        (compute_completeness, TWICE, 1 - math.log(2) / math.log(8)),
        (compute_concentration, TWICE, (1 / 2 - 1 / 8) / (1 - 1 / 8)),
        (compute_modularity, TWICE, 1),
        (compute_disentanglement, SHARED[:1], 1 - math.log(2) / math.log(4)),
        (compute_disentanglement, SHARED, (1 - math.log(2) / math.log(4)) / 2 + 1 / 2),
        (compute_completeness, SHARED, 1),
        (compute_modularity, SHARED[:1], 1 - 1 / 3),
        (compute_disentanglement, ONE_EMPTY, 1),
        (compute_modularity, ONE_EMPTY, 2 / 3),
        (compute_disentanglement, NOTHING, 0),
        (compute_completeness, NOTHING, 0),
        (compute_modularity, NOTHING, 0),
        (compute_concentration, NOTHING, 0),
        (compute_gap, TWICE, 0),
        (compute_gap, IDENTITY, 1),
        (compute_completeness, IDENTITY[:1], 1),  # one code: nothing is spread
        (compute_concentration, np.zeros((1, 4)), 0),
    ],
)
def test_matrices_have_the_scores_of_their_definition(
    compute: Callable[[Floats], float], matrix: Floats, score: float
) -> None:
    assert compute(matrix) == pytest.approx(score, abs=1e-12)


def test_the_gap_of_information_is_a_share_of_each_factors_entropy() -> None:
    information = np.array([[1.0, 0.2], [0.5, 0.4]])
    assert compute_mig(information, np.array([2.0, 0.8])) == pytest.approx((0.25 + 0.25) / 2)
    assert compute_mig(information[:1], np.array([2.0, 0.8])) == pytest.approx(
        (0.5 + 0.25) / 2
    )  # one latent: no second


def test_infomec_reads_unequal_factors_as_its_source_does() -> None:
    """Fitted to balanced values, but its loss is the mean over images as they are."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(1)
    factor = rng.choice(3, size=2_000, p=[0.8, 0.15, 0.05])
    (codes,) = standardise(factor[:, None] + rng.normal(size=(2_000, 2)))
    model = LogisticRegression(C=np.inf, class_weight="balanced", max_iter=1_000).fit(codes, factor)
    losses = -np.log(model.predict_proba(codes)[np.arange(2_000), factor])
    assert _score_explicitness(codes, factor) == pytest.approx(1 - losses.mean() / np.log(3), abs=1e-4)
    weighted = np.mean([losses[factor == value].mean() for value in range(3)])
    assert abs(losses.mean() - weighted) > 0.01, "the two ways differ here"


def test_infomec_reads_factors_from_narrow_latents_too() -> None:
    table = make_known_table("perfect")
    narrow = CodeTable(table.codes * np.array([1, 1, 1, 1, 1e-3]), table.factors)
    assert score_infomec(narrow, np.random.default_rng(0)).explicitness > 0.99
