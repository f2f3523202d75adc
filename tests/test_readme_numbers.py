"""Every number that README and docs tell as measured is in the published tables, and none stands anywhere else in them.

The rule: what was measured stands between the two marks of `docs.claims`. Elsewhere a number is the value of a
setting, of this repository's or of a study's, or a name (a year, a version, a figure): it has no unit of measurement.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from analysis.tables.reported_numbers import compute_deviations
from analysis.tables.significance import estimate_difference
from docs.claims import (
    ERRATIC_ALPHA,
    FINDINGS,
    FOLDER,
    README,
    SECTION,
    SEEN_OF,
    SEEN_SEEDS,
    find_largest_deviation,
    judge_unseen,
    load_published,
)
from harness.datasets import identify_dataset
from harness.search.make_source import make_source
from harness.study.file import load_study

PUBLISHED = FOLDER / "studies" / "published"
NUMBER = re.compile(r"(?<![\w.])[−-]?\d[\d,]*(?:\.\d+)?")  # noqa: RUF001  (a minus sign, meant as such)
UNITS = r"(?:%|points?|nats?|seconds?|minutes?|hours?|min|s|ms|GB|MB|of the (?:latents|trials|images|inked))(?![\w-])"
MEASURED = re.compile(rf"\d\s?{UNITS}")


PAGES = [README, *sorted((FOLDER / "docs").glob("*.md"))]


def split_page(page: Path) -> tuple[str, str]:
    """A page without code: what stands between the marks, and elsewhere."""
    text = page.read_text()

    def strip(text: str) -> str:
        text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        return re.sub(r"`[^`]*`|\]\([^)]*\)", " ", text)

    return strip("\n".join(SECTION.findall(text))), strip(SECTION.sub("", text))


@pytest.fixture(scope="module")
def known() -> np.ndarray:
    """Every number of the tables that README may tell, and those in the words of the claims and of what is measured."""
    claims = pd.read_csv(PUBLISHED / "report" / "claims.csv")
    numbers = claims[["effect", "low", "high", "p", "p_holm", "threshold", "seeds"]].to_numpy(float).ravel().tolist()
    shares = claims.loc[claims["unit"] == "of the trials", ["effect", "low", "high"]]
    numbers += (100 * shares).to_numpy(float).ravel().tolist()
    words = yaml.safe_load((FOLDER / "studies" / "claims.yaml").read_text())
    texts = [f"{entry['claim']} {entry.get('variant', '')}" for entry in words]
    texts += [*claims["part"].dropna(), *claims["reason"].dropna()]
    numbers += [read_number(found) for text in texts for found in NUMBER.findall(text)]
    judged = claims[(claims["role"] == "exploratory") | (claims["part_role"] == "primary")]
    for _, parts in judged.groupby(["id", "study"]):
        numbers += [len(parts), *((parts["part_verdict"] == outcome).sum() for outcome in ("supported", "refuted"))]
    verdicts = claims[claims["role"] == "primary"].drop_duplicates(["id", "study"])
    fewest = (
        claims[claims["part_role"] == "primary"]
        .groupby(["id", "study"])["seeds"]
        .min()
        .reindex(pd.MultiIndex.from_frame(verdicts[["id", "study"]]), fill_value=0)
    )
    numbers += [*fewest.unique(), *fewest.value_counts(), (fewest >= 10).sum()]
    for column in ("verdict", "before_holm"):
        numbers += verdicts[column].value_counts().tolist()
    tables = load_published()
    numbers += [len(verdicts), *(find_largest_deviation(tables["reference-check"], model) for model in ("vae", "vsc"))]
    for study in ("elbo-vs-latent-dim", "elbo-vs-latent-dim-fashion"):
        deviations = compute_deviations(tables[study].trials, tables[study].history)
        size, own = deviations["percent"].abs(), deviations["seed"] == 1
        at_named = deviations["latent_dim"].isin([24, 200])
        numbers += [size.max(), size[own].max(), size[own & at_named].max(), (size > 1).sum(), len(size)]
        for some in (deviations, deviations[deviations["alpha"] != ERRATIC_ALPHA]):
            numbers.append(some.groupby(["model", "alpha", "latent_dim"], dropna=False)["percent"].mean().abs().max())
    numbers += [95, 10]  # per cent of an interval; seeds that the protocol asks for
    for name, published in tables.items():
        study = load_study(FOLDER / "studies" / f"{name}.yaml")
        asked = make_source(study, identify_dataset(study.dataset), PUBLISHED / name, read_only=True).num_trials
        numbers += [len(published.trials), published.trials["seed"].nunique(), asked]
    for seen in (SEEN_SEEDS, *SEEN_OF.values()):
        numbers += [seen[0], seen[-1], 10 - len(seen)]
    outcomes = {(v.claim.id, v.study): v.outcome for v in judge_unseen(tables) if v.role == "primary"}
    alone = [outcomes[one.id, one.study] for one in verdicts.itertuples() if one.verdict != "undecided"]
    numbers += [len(alone), sum(outcome != "undecided" for outcome in alone), alone.count("supported")]
    gates = tables["gate-gradients"].trials.query("latent_dim == 200")
    last = tables["gate-gradients"].history.query("epoch == 11").set_index("trial_id")["test/loss"]
    for _, rows in gates.groupby(["alpha", "gamma_link"]):
        of_gates = rows.groupby(["estimator", "sharpness_schedule"])
        numbers += [
            *of_gates["test/elbo"].mean(),
            *rows.assign(loss=rows["trial_id"].map(last)).groupby(of_gates.keys)["loss"].mean(),
        ]
        numbers += list_differences([one.to_numpy(float) for _, one in of_gates["test/elbo"]])
        numbers.append(of_gates["gradient/straight_through_bias"].mean()["straight_through", "per_epoch"])
    probed = tables["accuracy-vs-latent-dim"].trials.query("latent_dim == 200")
    vae, vsc = (
        rows.filter(like="probe/") * 100 for rows in (probed.query("model == 'vae'"), probed.query("alpha == 0.01"))
    )
    numbers += vsc.filter(like="report_coded").mean().tolist()
    numbers += list_differences([one["probe/mlp_mu_5k_accuracy"].to_numpy(float) for one in (vae, vsc)])
    convergence = tables["convergence"].trials
    numbers += [*convergence["epochs"].unique(), *convergence["latent_dim"].unique()]
    return np.array([number for number in numbers if np.isfinite(number)], float)


def list_differences(samples: list[np.ndarray]) -> list[float]:
    """The mean of each sample less that of each other one, with its interval."""
    pairs = [(one, other) for one in samples for other in samples if one is not other]
    found = [estimate_difference(*pair, "greater", 0) for pair in pairs]
    return [float(end) for one in found for end in (one.mean, one.low, one.high)]


def read_number(text: str) -> float:
    return float(text.replace(",", "").replace("−", "-"))  # noqa: RUF001


@pytest.mark.parametrize(("page", "at_least"), [(README, 15), (FINDINGS, 300)], ids=["README", "findings"])
def test_every_measured_number_is_in_the_tables(page: Path, at_least: int, known: np.ndarray) -> None:
    inside, _ = split_page(page)
    told = NUMBER.findall(inside)
    assert len(told) > at_least
    lost = []
    for text in told:
        decimals = len(text.partition(".")[2])
        if not np.isclose(np.round(known, decimals), read_number(text), rtol=0, atol=1e-9).any():
            lost.append(text)
    assert lost == []


def test_a_number_that_is_not_in_the_tables_would_be_found(known: np.ndarray) -> None:
    for text in ("8.12345", "−7.77", "431", "0.9999"):  # noqa: RUF001
        decimals = len(text.partition(".")[2])
        assert not np.isclose(np.round(known, decimals), read_number(text), rtol=0, atol=1e-9).any()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_nothing_measured_stands_elsewhere(page: Path) -> None:
    _, elsewhere = split_page(page)
    found = [match[0] for match in MEASURED.finditer(elsewhere.replace("95% interval", ""))]
    assert found == []
    assert MEASURED.findall("it takes 3 minutes, 6 GB, 2.5% and 4 points of 7 nats")  # each of which it would see
    assert len(MEASURED.findall("it takes 3 minutes, 6 GB, 2.5% and 4 points of 7 nats")) == 5


def test_benchmarks_states_one_number_of_tests() -> None:
    assert len(re.findall(r"\d\s+tests\b", (FOLDER / "BENCHMARKS.md").read_text())) == 1
