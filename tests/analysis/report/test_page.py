import base64
import gzip
import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from analysis.claims import Claim, load_claims
from analysis.claims.optimum import Optimum
from analysis.figures import draw
from analysis.figures.draw import FIGURES
from analysis.report import StudyReport, open_questions, page, write_report
from analysis.report.claims import describe_untested
from analysis.report.numbers import tabulate_numbers
from analysis.report.provenance import describe_cost, tabulate_provenance
from analysis.tables import Tables
from tests.analysis.made_up_exhibits import StudyWithExhibits
from tests.analysis.synthetic import SyntheticStudy

CLAIMS = Path(__file__).parents[3] / "studies" / "claims.yaml"
STUDY = StudyReport(
    "How does it depend on the latent dimension?",
    "spikeslab run quickstart",
    provenance=[{"git.commit": "abc", "version.torch": "2.15", "cpu": "a processor", "study.sha256": "0123"}],
)


@pytest.fixture
def written(quickstart: SyntheticStudy, tmp_path: Path) -> tuple[str, str]:
    paths = write_report({"quick": quickstart.tables()}, {"quick": STUDY}, tmp_path)
    assert [path.name for path in paths] == ["report.md", "report.html"]
    markdown, html = (path.read_text() for path in paths)
    return markdown, html


def test_it_says_what_was_asked_what_was_found_and_how_to_do_it_again(written: tuple[str, str]) -> None:
    markdown, html = written
    for text in (markdown, html):
        assert "How does it depend on the latent dimension?" in text
        assert "spikeslab run quickstart" in text
        assert "What the report left open" in text
        assert "torch 2.15" in text
        assert "a processor" in text
    assert "60 trials: 60 finished" in markdown


def test_every_picture_of_the_markdown_lies_beside_it(written: tuple[str, str], tmp_path: Path) -> None:
    names = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", written[0])
    assert len(names) == 5
    assert {Path(name).suffix for name in names} == {".svg"}  # lines and points, which are lighter so
    assert all((tmp_path / name).is_file() for name in names)


def test_the_page_holds_all_of_itself(written: tuple[str, str]) -> None:
    html = written[1]
    pictures = re.findall(r"<svg .*?</svg>", html, re.DOTALL)
    assert len(pictures) == 5
    for picture in pictures:
        root = ElementTree.fromstring(picture)
        assert root.get("role") == "img"
        assert len(root.get("aria-label", "")) > 20
        assert root.find("{*}title") is None  # which would show wherever one points, in place of those of marks
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert sorted(set(ids)) == sorted(ids)
    assert set(re.findall(r'(?:url\(|href=")#([^")]+)', html)) <= set(ids)
    outside = re.sub(r"'data:[^']*'", "'data:'", html)
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", outside)
    assert not re.search(r"""(src|href)=["'](?!data:|#|%23)""", html)  # nor in the figures that it holds
    assert "<script" not in html
    assert 'href="#quick"' in html
    assert '<h3 id="quick">' in html


def test_a_picture_of_pictures_is_made_of_pixels(tmp_path: Path) -> None:
    study = StudyWithExhibits()
    study.grid([0.2], [2], seeds=1)
    asks = replace(STUDY, figures=["codes_and_reconstructions"])
    html = write_report({"codes": study.stored(tmp_path)}, {"codes": asks}, tmp_path)[1].read_text()
    (embedded,) = re.findall(r"<img src='data:image/webp;base64,([^']+)'", html)
    (drawn,) = tmp_path.glob("figures/codes/*.png")
    with Image.open(BytesIO(base64.b64decode(embedded))) as shown, Image.open(drawn) as own:
        np.testing.assert_array_equal(shown, own.convert("RGB"))


def test_epochs_that_trials_share_are_counted_once(tmp_path: Path) -> None:
    study = SyntheticStudy()
    for epochs in (10, 30):
        study.add("vae", 8, 0, epochs=epochs)
    paths = write_report({"lengths": study.tables()}, {"lengths": STUDY}, tmp_path)
    assert " · 30 epochs · " in paths[0].read_text()
    assert " · 40 epochs · " not in paths[0].read_text()


def test_a_link_to_a_table_that_is_not_there_is_left_alone_and_claims_are_text_not_html(tmp_path: Path) -> None:
    study = SyntheticStudy()
    study.add("vae", 8, 0)
    name, asks = "pixel-scaling", replace(STUDY, question="Why? See [this](notes.csv).", figures=["elbo_by_latent_dim"])
    claim = Claim.model_validate(
        {"id": "a", "section": "1", "claim": "<b>Alike</b>.", "study": name, "figure": "elbo_by_latent_dim"}
        | {"quantity": "level", "parameters": {"metric": "test/elbo"}, "test": "less", "threshold": 0}
    )
    html = write_report({name: study.tables()}, {name: asks}, tmp_path, claims=[claim])[1].read_text()
    assert '<a href="notes.csv">this</a>' in html
    assert "&lt;b&gt;Alike&lt;/b&gt;" in html
    assert "<b>Alike" not in html


def test_a_training_that_two_studies_read_at_different_lengths_costs_its_longest() -> None:
    studies = SyntheticStudy(), SyntheticStudy()
    for study, epochs in zip(studies, (10, 30), strict=True):
        study.add("vae", 8, 0, epochs=epochs)
        study.trials[0]["trial_id"] = f"of-{epochs}"
    told = describe_cost({str(i): study.tables() for i, study in enumerate(studies)})
    assert told.startswith("Altogether 1 training, 1 seed, 30 epochs and ")


def test_studies_that_one_code_trained_share_a_table_whenever_that_was_and_whatever_their_files() -> None:
    records = {name: [{"git.commit": "abc", "date": f"2026-01-0{name}", "study": f"name: s{name}"}] for name in "12"}
    told = tabulate_provenance(records)
    assert told[0].startswith("`1`, `2`:\n")
    assert "name: s1" not in "".join(told)


def test_a_study_without_a_finished_trial_is_said_to_have_no_figure(tmp_path: Path) -> None:
    study = SyntheticStudy()
    study.add("vae", 8, 0, status="failed")
    paths = write_report({"none": study.tables()}, {"none": STUDY}, tmp_path)
    assert "No figure could be drawn" in paths[0].read_text()


def test_tables_that_are_missing_are_said_to_be(quickstart: SyntheticStudy, tmp_path: Path) -> None:
    lost = StudyReport("Where is it?", "spikeslab run lost", problem="lost/trials.parquet does not exist")
    (markdown, _) = write_report({"quick": quickstart.tables()}, {"quick": STUDY, "lost": lost}, tmp_path)
    text = markdown.read_text()
    assert "**Missing:** lost/trials.parquet does not exist" in text
    assert "**Missing:** no record of what trained `lost`." in text
    assert "60 trials: 60 finished" in text


def test_figures_that_a_study_asks_for_and_that_cannot_be_drawn_are_said_to_be_missing(
    quickstart: SyntheticStudy, tmp_path: Path
) -> None:
    asks = StudyReport("What does it look like?", "spikeslab run it", figures=["elbo_by_latent_dim", "traversals"])
    (markdown, _) = write_report({"it": quickstart.tables()}, {"it": asks}, tmp_path)
    text = markdown.read_text()
    assert "**Missing:** traversals: not drawn" in text
    assert text.count("![") == 1


def test_numbers_stand_under_their_figure_and_in_a_file_that_the_page_holds(
    quickstart: SyntheticStudy, tmp_path: Path
) -> None:
    asks = StudyReport("How?", "spikeslab run it", figures=["elbo_by_latent_dim"])
    markdown, page = (p.read_text() for p in write_report({"it": quickstart.tables()}, {"it": asks}, tmp_path))
    mean = quickstart.tables().trials.query("model == 'vae' and latent_dim == 2")["test/elbo"].mean()
    (row,) = (line for line in markdown.splitlines() if line.startswith("| VAE | 2 |"))
    assert f"\N{MINUS SIGN}{-mean:.1f}" in row
    (numbers,) = re.findall(r"href='data:text/csv;charset=utf-8,([^']+)'", page)
    assert unquote(numbers) == (tmp_path / "figures" / "it" / "elbo_by_latent_dim.csv").read_text()


def test_a_long_table_is_held_packed_as_pandas_reads_it(
    quickstart: SyntheticStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks = replace(STUDY, figures=["elbo_by_latent_dim"])
    write_report({"it": quickstart.tables()}, {"it": asks}, tmp_path)
    table = (tmp_path / "figures" / "it" / "elbo_by_latent_dim.csv").read_bytes()
    monkeypatch.setattr("analysis.report.html.PACKED_FROM", len(table))
    page = write_report({"it": quickstart.tables()}, {"it": asks}, tmp_path)[1].read_text()
    ((name, packed),) = re.findall(r"<a download=\"(\S+)\" href='data:application/gzip;base64,([^']+)'", page)
    assert name == "elbo_by_latent_dim.csv.gz"
    assert gzip.decompress(base64.b64decode(packed)) == table
    assert "data:text/csv" not in page


def test_links_within_the_page_find_their_headings(quickstart: SyntheticStudy, tmp_path: Path) -> None:
    twin = quickstart.tables()
    twin.trials["test/elbo"] += 1.0
    tables = {"quick": quickstart.tables(), "twin": twin}
    paths = write_report(tables, dict.fromkeys(tables, STUDY), tmp_path)
    markdown, html = (path.read_text() for path in paths)
    assert "† Trials of this study have other results in `twin` (by up to 1.00)" in markdown
    assert "## One trial, several results" in markdown
    ids = re.findall(r' id="([^"]+)"', html)
    assert set(re.findall(r'href="#([^"]+)"', html)) <= set(ids)
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", own) for own in ids)


def test_claims_stand_first_with_their_verdicts(quickstart: SyntheticStudy, tmp_path: Path) -> None:
    claims = load_claims(CLAIMS)
    tables = {"elbo-vs-latent-dim-quick": quickstart.tables()}
    studies = {"elbo-vs-latent-dim-quick": STUDY}
    text, html = (path.read_text() for path in write_report(tables, studies, tmp_path, claims=claims))
    ids = re.findall(r' id="([^"]+)"', re.sub(r"'data:[^']*'", "", html))  # a thumbnail has those of its figure
    assert len(ids) == len(set(ids))
    links = re.findall(r'href="#([^"]+)"', html)
    assert any(link.startswith("claim-") for link in links)  # of findings, which are exploratory here
    assert set(links) <= set(ids)
    assert text.index("## The answer") < text.index("claims at a glance") < text.index("## Studies")
    assert re.search(r"nothing is said of .*`convergence`.*: not run", text)
    assert text.index("### Primary endpoints\n\nNone.") < text.index("### Exploratory")  # a quick study is exploratory
    num = sum(len(claim.study) - ("elbo-vs-latent-dim" in claim.study) for claim in claims if claim.primary is not None)
    assert f"Primary endpoints: 0 verdicts: 0 supported, 0 refuted, 0 mixed, 0 undecided, and {num} not run; " in text
    assert "**Not tested:** nothing here is of CelebA" in text
    assert re.search(r"1\. . \*\*.*\*\* \w+, exploratory: ", text)
    frame = pd.read_csv(tmp_path / "claims.csv")
    assert set(frame["id"]) == {claim.id for claim in claims}


def test_who_does_not_see_a_picture_is_told_what_it_is_once(quickstart: SyntheticStudy, tmp_path: Path) -> None:
    claims = [claim for claim in load_claims(CLAIMS) if claim.id == "true-bound-has-an-optimum"]
    name, asks = "elbo-vs-latent-dim-quick", replace(STUDY, figures=["elbo_by_latent_dim"])
    paths = write_report({name: quickstart.tables()}, {name: asks}, tmp_path, claims=claims)
    html = paths[1].read_text()
    (label,) = re.findall(r'aria-label="(Figure 1[^"]+)"', html)
    title, _, _ = label.partition(", elbo-vs-latent-dim-quick. ")
    found = re.findall(r"<figcaption>.*?<p>(.*?)</p>", html)
    assert all(re.sub("<.*?>", "", line)[:40] not in label for line in found)
    assert "95% interval" in label  # the caption, which is folded in
    for alt in re.findall(r'class="thumbnail"[^>]*><img [^>]*alt="([^"]*)"', html):
        assert f"Figure 1: {alt.partition(',')[0]}" in title


def test_contents_open_by_keyboard_and_paper_has_captions_and_definitions(written: tuple[str, str]) -> None:
    css = written[1].partition("<style>")[2].partition("</style>")[0]
    narrow, _, paper = css.partition("@media (max-width: 48rem)")[2].partition("@media print")
    assert "nav input { display: block; position: absolute; opacity: 0; }" in narrow  # none could not be focused
    assert "nav input:focus-visible + label { outline" in narrow
    assert "figure > details::details-content, #how-verdicts-are-reached::details-content" in paper


def test_an_error_in_any_part_is_said_in_its_place_and_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> Any:
        raise ZeroDivisionError("planted\nhere")

    study, told, name = SyntheticStudy(), list[str](), "elbo-vs-latent-dim-quick"
    for latent_dim in (2, 8):
        study.add("vae", latent_dim, 0)
    asks = replace(STUDY, figures=["elbo_by_latent_dim", "rate_distortion"])
    claims = [
        claim.model_copy(update={"study": ("elbo-vs-latent-dim",)})
        for claim in load_claims(CLAIMS)
        if claim.quantity == "optimum"
    ]
    monkeypatch.setattr(Optimum, "measure", fail)
    for part in ("_describe_study", "describe_cost", "tabulate_numbers", "tabulate_provenance"):
        monkeypatch.setattr(page, part, fail)
    monkeypatch.setattr(open_questions, "_name_importances", fail)
    broken = replace(FIGURES["rate_distortion"], compute=fail)
    monkeypatch.setattr(draw, "FIGURES", dict(FIGURES) | {"rate_distortion": broken})

    text = write_report({name: study.tables()}, {name: asks}, tmp_path, claims=claims, on_problem=told.append)[0]
    missing = [line.removeprefix("**Missing:** ") for line in text.read_text().splitlines() if "**Missing:**" in line]
    assert [re.sub(r", an error in m.*|, an error in drawing.*", "", line) for line in missing] == [
        "the numbers of elbo_by_latent_dim",  # of Figure 1, at the top
        "what batch sizes were worth in searches",
        "the cost of all studies",
        f"what {name} took",
        "rate_distortion: not drawn",
        "the record of what produced them",
    ]
    assert all("(ZeroDivisionError: planted here)" in line for line in [*told, *missing])
    assert len(told) == len(missing) + len(claims)
    assert "| undecided (exploratory) |" in text.read_text()
    assert text.read_text().count("![") == 1

    monkeypatch.setattr("analysis.report.claims.claims_table", fail)
    monkeypatch.setattr(page, "read_about", fail)
    text = write_report({name: study.tables()}, {name: asks}, tmp_path, claims=claims)[0]
    assert "**Missing:** the report's claims, an error in making it" in text.read_text()
    assert f"**Missing:** the figures of {name}, an error in making it" in text.read_text()


def test_rows_of_numbers_are_told_apart_by_their_epoch() -> None:
    frame = pd.DataFrame(
        {"epoch": [1, 2], "alpha": [-1.0, 0.5], "mean": [-2.0, -1.0], "low": -3.0, "high": 1.0, "n": 3}
    )
    table = tabulate_numbers(frame).splitlines()
    assert table[0].startswith("| \N{GREEK SMALL LETTER ALPHA} | epoch |")
    assert table[2].startswith("| \N{MINUS SIGN}1 | 1 | \N{MINUS SIGN}2.0 ")


@pytest.mark.parametrize("name", ["probe", "input", "score", "group", "configuration", "step"])
def test_rows_of_numbers_are_told_apart_by_what_their_figure_compares(name: str) -> None:
    frame = pd.DataFrame({name: ["one", "one", "other"], "mean": [1.0, 1.0, 2.0], "low": 0.0, "high": 3.0, "n": 2})
    assert [line.split(" | ")[0] for line in tabulate_numbers(frame).splitlines()[2:]] == ["| one", "| other"]


def test_rows_of_numbers_that_nothing_tells_apart_are_left_to_the_file() -> None:
    frame = pd.DataFrame({"latent_dim": [8, 8, 24], "mean": [1.0, 2.0, 3.0], "low": 0.0, "high": 4.0, "n": 1})
    assert tabulate_numbers(frame) == tabulate_numbers(frame.drop(columns="latent_dim")) == ""
    assert tabulate_numbers(frame[1:]).count("\n") == 3
    numbered = frame.assign(latent_dim=[8, 16, 24], configuration=[0, 1, 2])
    assert tabulate_numbers(numbered) == tabulate_numbers(numbered.drop(columns="configuration")) != ""


def test_a_name_of_two_lines_is_one_with_a_comma() -> None:
    frame = pd.DataFrame({"label": ["VAE\nXavier", "VAE\nKaiming"], "mean": 1.0, "low": 0.5, "high": 1.5, "n": 3})
    assert [line.split(" | ")[0] for line in tabulate_numbers(frame).splitlines()[2:]] == [
        "| VAE, Xavier",
        "| VAE, Kaiming",
    ]


def test_a_figure_that_a_claim_names_is_on_the_page_though_the_study_asks_for_another(
    quickstart: SyntheticStudy, tmp_path: Path
) -> None:
    name, asks = "elbo-vs-latent-dim", replace(STUDY, figures=["rate_distortion"])
    claims = [claim for claim in load_claims(CLAIMS) if claim.id == "true-bound-has-an-optimum"]
    html = write_report({name: quickstart.tables()}, {name: asks}, tmp_path, claims=claims)[1].read_text()
    assert 'id="elbo-vs-latent-dim-elbo-by-latent-dim"' in html
    assert 'id="elbo-vs-latent-dim-rate-distortion"' in html


def test_it_tells_how_many_studies_are_drawn(quickstart: SyntheticStudy, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    asks = replace(STUDY, figures=["elbo_by_latent_dim"])
    names = ["one", "other"]
    tables = {name: quickstart.tables() for name in names}
    write_report(tables, dict.fromkeys(names, asks), tmp_path, on_progress=lambda *counts: told.append(counts))
    assert told == [(1, 2), (2, 2)]


def test_what_no_study_is_of_is_said_and_nothing_else() -> None:
    def describe(*kinds: tuple[str, str]) -> str:
        tables = [pd.DataFrame({"dataset": [dataset], "network": [network]}) for dataset, network in kinds]
        return describe_untested(Tables(trials, pd.DataFrame()) for trials in tables)

    told = describe(("mnist", "mlp"), ("faces", "mlp"))
    assert told.startswith("**Not tested:** nothing here is of CelebA")
    assert told.endswith("of convolutional networks, of dSprites, and so of disentanglement.")
    assert "CelebA" not in describe(("celeba-64", "mlp"), ("mnist", "mlp"))
    assert "convolutional" not in describe(("mnist", "conv"))
    assert describe(("celeba", "mlp"), ("dsprites-32", "conv")) == ""
