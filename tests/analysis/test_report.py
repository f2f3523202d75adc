import base64
import re
from pathlib import Path

import pytest

from analysis.report import StudyReport, write_report
from tests.analysis.synthetic import SyntheticStudy

STUDY = StudyReport("How does it depend on the latent dimension?", "spikeslab run quickstart")


@pytest.fixture
def written(quickstart: SyntheticStudy, tmp_path: Path) -> tuple[str, str]:
    paths = write_report({"quick": quickstart.tables()}, {"quick": STUDY}, tmp_path, provenance=["torch: 2.15"])
    assert [path.name for path in paths] == ["report.md", "report.html"]
    markdown, html = (path.read_text() for path in paths)
    return markdown, html


def test_it_says_what_was_asked_what_was_found_and_how_to_do_it_again(written: tuple[str, str]) -> None:
    markdown, html = written
    for text in (markdown, html):
        assert "How does it depend on the latent dimension?" in text
        assert "spikeslab run quickstart" in text
        assert "What the report left open" in text
        assert "torch: 2.15" in text
    assert "60 trials: 60 finished" in markdown


def test_every_picture_of_the_markdown_lies_beside_it(written: tuple[str, str], tmp_path: Path) -> None:
    names = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", written[0])
    assert len(names) == 4
    assert all((tmp_path / name).is_file() for name in names)


def test_the_page_holds_all_of_itself(written: tuple[str, str]) -> None:
    html = written[1]
    pictures = re.findall(r'<img src="data:image/png;base64,([^"]+)" alt="[^"]+"', html)
    assert len(pictures) == html.count("<img") == 4
    assert all(base64.b64decode(picture).startswith(b"\x89PNG") for picture in pictures)
    assert not re.search(r'(src|href)="(?!data:|#)', html)
    assert 'href="#quick"' in html
    assert '<h2 id="quick">' in html


def test_epochs_that_trials_share_are_counted_once(tmp_path: Path) -> None:
    study = SyntheticStudy()
    for epochs in (10, 30):
        study.add("vae", 8, 0, epochs=epochs)
    paths = write_report({"lengths": study.tables()}, {"lengths": STUDY}, tmp_path)
    assert "| 30 |" in paths[0].read_text()
    assert "| 40 |" not in paths[0].read_text()


def test_a_study_without_a_finished_trial_is_said_to_have_no_figure(tmp_path: Path) -> None:
    study = SyntheticStudy()
    study.add("vae", 8, 0, status="failed")
    paths = write_report({"none": study.tables()}, {"none": STUDY}, tmp_path)
    assert "No figure could be drawn" in paths[0].read_text()
