from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from analysis.claims import Claim, ClaimsError, load_claims
from analysis.figures.draw import FIGURES
from analysis.tables import Tables
from tests.analysis.claims.judging import CLAIMS
from tests.analysis.planted_claims import plant

GOOD: dict[str, Any] = {
    "id": "a-claim",
    "section": "1",
    "claim": "Something holds.",
    "study": "a-study",
    "quantity": "level",
    "parameters": {"metric": "test/elbo"},
    "test": "greater",
    "threshold": 0,
}


def write(path: Path, *claims: Any) -> Path:
    path.write_text(yaml.safe_dump(list(claims)))
    return path


def test_numbers_are_those_of_yaml_1_2(tmp_path: Path) -> None:
    path = write(tmp_path / "c.yaml", GOOD)
    for text, threshold in {"1e-3": 0.001, "010": 10, "1E2": 100}.items():
        path.write_text(yaml.safe_dump([GOOD]).replace("threshold: 0", f"threshold: {text}"))
        assert load_claims(path)[0].threshold == threshold
    path.write_text(yaml.safe_dump([GOOD]).replace("threshold: 0", "threshold: !!int 1_000"))
    with pytest.raises(ClaimsError, match=r"c\.yaml:\d+: not valid YAML; mend that line"):
        load_claims(path)


def test_a_claim_has_one_primary_endpoint(tmp_path: Path) -> None:
    first, second = GOOD | {"primary": [24, 200]}, GOOD | {"id": "b", "primary": 24}
    (claim,) = load_claims(write(tmp_path / "c.yaml", first))
    assert claim.primary == (24, 200)
    with pytest.raises(
        ClaimsError, match="claim b: primary: a-claim is the primary endpoint of this claim; remove one"
    ):
        load_claims(write(tmp_path / "c.yaml", first, second))
    assert load_claims(write(tmp_path / "c.yaml", first, second | {"claim": "Another."}))[1].primary == (24,)
    assert load_claims(write(tmp_path / "c.yaml", first, GOOD | {"id": "b"}))[1].primary is None


def test_edits_are_judged_only_where_codes_are_sparse() -> None:
    """The largest entry of another code is mostly an idle latent, which shows in no picture."""
    of_edits = [claim for claim in CLAIMS.values() if str(claim.parameters.get("metric")).startswith("edit/")]
    assert len(of_edits) == 4
    for claim in of_edits:
        assert (claim.quantity, claim.parameters["max_alpha"]) == ("level", 0.2), claim.id


def test_a_claim_names_one_study_or_several(tmp_path: Path) -> None:
    first, second = load_claims(write(tmp_path / "c.yaml", GOOD, GOOD | {"id": "b", "study": ["x", "my_study"]}))
    assert (first.study, second.study) == (("a-study",), ("x", "my_study"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"treshold": 1}, "claim a-claim: treshold: unknown key; did you mean threshold?"),
        (
            {"test": "equal"},
            "claim a-claim: test: Input should be 'greater', 'less' or 'equivalent'; it is 'equal' now",
        ),
        (
            {"quantity": "divergence_as_claimed", "parameters": {}, "test": "equivalent"},
            "claim a-claim: test: a share of trials is not tested so; use greater or less",
        ),
        ({"primary": [2.5]}, "claim a-claim: primary.0: Input should be a valid integer"),
        ({"primary": 24, "alphas": ["0.1"]}, "claim a-claim: alphas.0: Input should be a valid number"),
        ({"alphas": 0.1}, "claim a-claim: alphas: they are of a primary endpoint; add primary, or remove them"),
        ({"paired": 1}, "claim a-claim: paired: Input should be a valid boolean"),
        ({"threshold": "much"}, "claim a-claim: threshold: Input should be a valid number; it is 'much' now"),
        ({"threshold": float("nan")}, "claim a-claim: threshold: Input should be a finite number; it is nan now"),
        ({"quantity": "levels"}, "claim a-claim: quantity: no quantity 'levels'; did you mean level?"),
        ({"parameters": {}}, "claim a-claim: parameters: metric: missing; add it"),
        ({"parameters": {"metric": "a", "modle": "vae"}}, "modle: unknown key; did you mean model?"),
        ({"parameters": {"metric": 3}}, "parameters: metric: Input should be a valid string; it is 3 now"),
        ({"study": []}, "claim a-claim: study: "),
        ({"study": 3}, "claim a-claim: study.0: "),
        ({"study": "A study"}, "study.0: 'A study' is not a slug; use a-z"),
        ({"id": "A claim"}, "claim A claim: id: 'A claim' is not a slug; use a-z"),
        ({"claim": ""}, "claim a-claim: claim: "),
    ],
)
def test_a_mistake_is_one_sentence_with_file_claim_and_fix(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = write(tmp_path / "claims.yaml", GOOD | change)
    with pytest.raises(ClaimsError) as error:
        load_claims(path)
    assert str(error.value).startswith(f"{path}: claim ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_probe_is_checked_to_its_depth(tmp_path: Path) -> None:
    claim = GOOD | {
        "quantity": "accuracy_past_best",
        "parameters": {"alpha": 0.1, "between": [[8, 64]], "margin": 1, "under": {"probe": "lienar"}},
    }
    with pytest.raises(ClaimsError, match=r"parameters: under\.probe: Input should be 'report_coded', .* it is 'lien"):
        load_claims(write(tmp_path / "c.yaml", claim))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- id: [", ":1: not valid YAML; mend that line"),
        ("id: a", ": not a list of claims; begin each with `- id: ...`"),
        ("", ": not a list of claims"),
        ("- 3", ": claim 1: 3 is not a mapping; begin it with `- id: ...`"),
        ("- {section: a}", ": claim 1: id: missing; add it"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text(text)
    with pytest.raises(ClaimsError) as error:
        load_claims(path)
    assert f"{path}{message}" in str(error.value)


def test_a_file_that_is_not_there_and_a_claim_given_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ClaimsError, match="cannot be read \\(No such file or directory\\)"):
        load_claims(tmp_path / "none.yaml")
    with pytest.raises(ClaimsError, match="claim a-claim: given twice"):
        load_claims(write(tmp_path / "c.yaml", GOOD, GOOD))


OF_PICTURES = ("edited_codes",)
SHOWN = [one for one in CLAIMS.values() if "metric" in one.parameters and one.figure not in ("", *OF_PICTURES)]


@pytest.mark.parametrize("claim", SHOWN, ids=lambda claim: claim.id)
def test_the_figure_of_a_claim_draws_what_the_claim_measures(claim: Claim) -> None:
    """Where the metric is another, what is drawn is, too."""
    figure, metric = FIGURES[claim.figure], claim.parameters["metric"]
    metric = metric if isinstance(metric, str) else metric[0]
    tables = plant(claim.id, "supported")
    trials = tables.trials.assign(**{name: 1.0 for name in figure.needs if name not in tables.trials})
    if claim.figure == "gate_gradients":  # which compares estimators
        trials["estimator"] = np.where(trials["seed"] > 1, "disarm", "relaxed")
    other, history = trials, tables.history
    if metric in trials:
        other = trials.assign(**{metric: trials[metric] + 0.01 * (1 + trials["seed"])})
    else:
        history = history.assign(**{metric: history[metric] + 0.01 * history["epoch"]})
    drawn, changed = (figure.compute(one) for one in (Tables(trials, tables.history), Tables(other, history)))
    assert not drawn.equals(changed)
