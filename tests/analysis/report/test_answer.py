# ruff: noqa: RUF001  (minus signs, meant as such)
"""What stands first on the page: the findings, and the claims by dataset."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.claims import Claim, Outcome, Part, Verdict, load_claims
from analysis.claims.quantity import Criterion
from analysis.claims.verdict import Role
from analysis.figures.draw import FIGURES
from analysis.report.blocks import Claims, Finding, Findings, Heading, headline_numbers, say_finding
from analysis.report.findings import MOST, pick_findings
from analysis.report.forest import WIDTH, draw_forest, find_axis
from analysis.report.html import as_html
from analysis.report.markdown import as_markdown
from analysis.report.matrix import render_matrix
from tests.e2e.browser import CHROMIUM, WITHOUT_BROWSER, browse

CLAIMS = load_claims(Path(__file__).parents[3] / "studies" / "claims.yaml")
GREATER = Criterion("greater", 0.0)
DATASETS = {study: "fashion-mnist" if "fashion" in study else "mnist" for claim in CLAIMS for study in claim.study}

EDGES = """<script>document.title = [...document.querySelectorAll("summary .forest")].map(
  plot => Math.round(plot.getBoundingClientRect().left)).join(" ")</script>"""


def part(mean: float, low: float, high: float, outcome: Outcome = "supported", criterion: Criterion = GREATER) -> Part:
    return Part("VAE at latent dimension 8", "points", criterion, mean, low, high, 3, 0.01, 1.0, "primary", False,
                outcome, "", "")  # fmt: skip


def judged(
    claim: Claim, outcome: Outcome, before: Outcome | None = None, *, role: Role = "primary", p: float = 0.01
) -> Verdict:
    return Verdict(claim, claim.study[0], role, outcome, before or outcome, p, p, (part(2.0, 1.0, 3.0),))


def of_distinct_claims(num: int) -> list[Claim]:
    return list({claim.claim: claim for claim in CLAIMS}.values())[:num]


def test_every_claim_names_a_figure_that_there_is_but_one_that_none_shows() -> None:
    assert {claim.figure for claim in CLAIMS} - {""} <= set(FIGURES)
    assert [claim.id for claim in CLAIMS if not claim.figure] == ["gap-narrows-with-training"]


def test_what_is_surest_is_found_in_the_order_of_the_claims_and_each_once() -> None:
    undecided, before, mixed, explored, corrected, likelier, *others = of_distinct_claims(6 + MOST)
    verdicts = [
        judged(undecided, "undecided"),
        judged(mixed, "mixed", role="exploratory", p=0.0001),
        judged(explored, "refuted", role="exploratory"),
        judged(before, "undecided", "supported"),
        judged(corrected, "supported"),
        judged(corrected, "supported", role="exploratory"),
        judged(likelier, "supported", p=0.001),
    ]
    found = [finding.verdict.claim for finding in pick_findings(verdicts, {}, DATASETS).findings]
    assert found == [mixed, explored, before, corrected, likelier]
    for num, left in enumerate(([], [mixed], [mixed, explored], [mixed, explored, before]), start=MOST - 5):
        surer = [judged(claim, "supported", p=0.0001) for claim in others[:num]]
        found = [finding.verdict.claim for finding in pick_findings([*verdicts, *surer], {}, DATASETS).findings]
        kept = [claim for claim in (mixed, explored, before, corrected, likelier) if claim not in left]
        assert found == kept + others[:num]


def test_a_finding_says_on_whose_images() -> None:
    claim = next(claim for claim in CLAIMS if len(claim.study) > 1)
    first = judged(claim, "supported")
    sure = [first, replace(first, study=claim.study[1], p=0.001)]
    (finding,) = pick_findings(sure, {}, DATASETS).findings
    assert (finding.verdict.study, finding.dataset) == (claim.study[1], "Fashion-MNIST")
    assert finding.elsewhere == "on MNIST supported"


def test_a_finding_says_what_other_images_say() -> None:
    claim = next(claim for claim in CLAIMS if len(claim.study) > 1)
    found = pick_findings(
        [judged(claim, "supported"), replace(judged(claim, "undecided"), study=claim.study[1])], {}, DATASETS
    )
    assert found.findings[0].elsewhere == "on Fashion-MNIST undecided"
    markdown = as_markdown([found], Path())
    assert f"(MNIST, `{claim.study[0]}`; on Fashion-MNIST undecided)" in markdown
    assert "on Fashion-MNIST undecided" in as_html([Heading(1, "Page"), found], Path())
    (alone,) = pick_findings([judged(claim, "supported")], {}, DATASETS).findings
    assert alone.elsewhere == ""


def test_there_are_eight_findings_at_most() -> None:
    verdicts = [judged(claim, "supported") for claim in of_distinct_claims(MOST + 3)]
    assert len(pick_findings(verdicts, {}, DATASETS).findings) == 8


def test_a_finding_says_its_verdict_in_sign_and_word_and_its_number() -> None:
    verdict = judged(CLAIMS[0], "undecided", "supported")
    told = "Undecided, supported before Holm: 2.0 (1.0 to 3.0) points (VAE at latent dimension 8)."
    assert CLAIMS[0].variant in say_finding(verdict)
    assert say_finding(verdict) == f"? **{CLAIMS[0].claim.removesuffix('.')} ({CLAIMS[0].variant}).** {told}"
    assert headline_numbers(verdict) == [("2.0", "(1.0 to 3.0) points · VAE at latent dimension 8")]


@pytest.mark.parametrize(("outcome", "before"), [("mixed", "mixed"), ("undecided", "mixed")])
def test_of_a_mixed_claim_card_and_cell_show_the_part_that_makes_it_so(outcome: Outcome, before: Outcome) -> None:
    against = replace(part(-5.0, -6.0, -4.0, "refuted"), p_for=1.0, p_against=0.01)
    verdict = replace(judged(CLAIMS[0], outcome, before), parts=(part(2.0, 1.0, 3.0), against))
    assert [number for number, _ in headline_numbers(verdict)] == ["2.0", "−5.0"]
    page = as_html([Heading(1, "Page"), Findings([Finding(verdict, None, "MNIST")])], Path())
    cell = render_matrix(Claims([verdict], DATASETS, "")).partition("</summary>")[0]
    for text in (page, cell):
        assert text.index("2.0") < text.index("−5.0")
    assert re.findall(r"−5.0 \(−6.0 to −4.0\) points", cell)


@pytest.mark.skipif(CHROMIUM is None, reason=WITHOUT_BROWSER)
def test_the_forest_plots_of_one_cell_begin_at_one_edge_as_they_share_an_axis(tmp_path: Path) -> None:
    against = replace(part(-5.0, -6.0, -4.0, "refuted"), p_for=1.0, p_against=0.01)
    verdict = replace(judged(CLAIMS[0], "mixed"), parts=(part(2.0, 1.0, 3.0), against))
    page = as_html([Heading(1, "Page"), Claims([verdict], DATASETS, "")], Path())
    (tmp_path / "page.html").write_text(page.replace("</body>", f"{EDGES}</body>"))
    for width in (500, 1000, 1400, 2000):
        shown = browse((tmp_path / "page.html").as_uri(), tmp_path / "browser", f"--window-size={width},1000")
        first, second = re.findall(r"<title>(\d+) (\d+)</title>", shown)[0]
        assert first == second


def test_a_forest_plot_has_its_threshold_and_tells_its_numbers() -> None:
    own = part(2.0, 1.0, 3.0)
    axis = find_axis([own])
    assert axis == (0.0, 3.0)
    drawn = draw_forest(own, axis)
    assert "<title>VAE at latent dimension 8: 2.0 (1.0 to 3.0) points; claimed &gt; 0</title>" in drawn
    (threshold,) = re.findall(r'class="threshold" d="M([\d.]+) 0', drawn)
    start, end = re.findall(r'class="interval" d="M([\d.]+) 9H([\d.]+)"', drawn)[0]
    assert float(threshold) < float(start) < float(re.findall(r'cx="([\d.]+)"', drawn)[0]) < float(end) < WIDTH


def test_an_interval_that_is_far_longer_than_the_others_is_cut() -> None:
    short = [part(2.0, 1.0, 3.0) for _ in range(3)]
    low, high = find_axis([*short, part(2.0, -500.0, 500.0, "undecided")])
    assert low == pytest.approx(-12.0)
    assert high == pytest.approx(14.0)


def test_a_band_that_is_claimed_has_two_thresholds() -> None:
    own = part(0.1, -0.2, 0.4, criterion=Criterion("equivalent", 1.0))
    assert draw_forest(own, find_axis([own])).count('class="threshold"') == 2


def test_the_matrix_has_a_row_for_each_claim_and_a_column_for_each_dataset() -> None:
    first, second = of_distinct_claims(2)
    fashion = Verdict(first, "other", "primary", "refuted", "refuted", 0.01, 0.01, (part(-2.0, -3.0, -1.0, "refuted"),))
    verdicts = [judged(first, "supported"), fashion, judged(second, "undecided")]
    drawn = render_matrix(Claims(verdicts, {first.study[0]: "mnist", second.study[0]: "mnist", "other": "digits"}, ""))
    assert re.findall(r'data-verdicts="([^"]+)"', drawn) == ["refuted supported", "undecided"]
    assert "<b>claim</b><b>MNIST</b><b>digits</b>" in drawn
    assert "✓ supported (1)" in drawn
    assert "✗ refuted (1)" in drawn
    assert drawn.count("not asked") == 1
    assert drawn.count('<table class="parts">') == 3
