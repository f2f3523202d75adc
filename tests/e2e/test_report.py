"""The report of the published results: quick, whole, light, and legible on a phone."""

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.commands.report import report_studies
from tests.e2e.browser import CHROMIUM, WITHOUT_BROWSER, browse
from tests.e2e.conftest import REPOSITORY, Spikeslab

PUBLISHED = REPOSITORY / "studies" / "published"
RUN = """
import json, sys
from harness.cli.studies import app
app(sys.argv[1:], standalone_mode=False)
print(json.dumps(sorted({"torch", "ray", "mlflow"} & set(sys.modules))))
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a report on what is published, by README's command."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "studies").symlink_to(REPOSITORY / "studies")
    started = time.monotonic()
    command = [sys.executable, "-c", RUN, "report", "--results", "studies/published", "--out", "report"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    seconds = time.monotonic() - started
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []  # neither torch nor Ray
    (folder / "report" / "seconds").write_text(str(seconds))
    return folder / "report"


def test_without_results_of_ones_own_the_report_is_of_what_is_published(spikeslab: Spikeslab, folder: Path) -> None:
    (folder / "studies").symlink_to(REPOSITORY / "studies")
    done = spikeslab("report", "--claims", "mine.yaml")  # which is looked for once there are studies to judge
    assert done.returncode == 2
    assert "mine.yaml: cannot be read" in done.stderr


@pytest.mark.slow
def test_the_published_report_takes_twenty_seconds_at_most(report: Path) -> None:
    seconds = float((report / "seconds").read_text())
    print(f"\nspikeslab report on {len(list(PUBLISHED.glob('*/study.yaml')))} published studies: {seconds:.1f} s")
    assert seconds <= 20


def test_the_page_is_whole_and_light(report: Path) -> None:
    page = (report / "report.html").read_text()
    assert len(page.encode()) <= 8e6
    assert "<script" not in page
    outside = re.sub(r"'data:[^']*'", "'data:'", page)
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", outside)
    assert not re.search(r"""(src|href)=["'](?!data:|#|%23)""", page)  # nor in the figures that it holds
    assert re.findall(r"url\([^)]*\)|@import", page.partition("</style>")[0]) == []
    assert "The report's claims at a glance" in page
    missing = re.findall(r"\*\*Missing:\*\* (.*)", (report / "report.md").read_text())
    too_few = "hyperparameter_importance: not drawn, no model has 20 finished trials that differ in settings and value"
    assert [line for line in missing if not line.startswith(("nothing is said of `", too_few))] == []
    for study in PUBLISHED.glob("*/study.yaml"):
        assert f'<h3 id="{study.parent.name}">' in page
        assert f'href="#{study.parent.name}"' in page
    pictures = re.findall(r"<img [^>]*?alt=\"([^\"]*)\"|<svg role=\"img\" aria-label=\"([^\"]*)\"", page)
    pictures = ["".join(one) for one in pictures]
    assert len(pictures) == page.count("<img ") + page.count('<svg role="img"')
    assert page.count("<use ") > page.count("<title>") > 1000  # marks say their values when they are pointed at
    assert all(len(alt) > 20 for alt in pictures)
    captions = re.findall(r"<figcaption>.*?</figcaption>", page, re.DOTALL)
    assert any("<p>✓ <strong>" in caption for caption in captions)
    assert not any("✓" in alt or "Supported: " in alt for alt in pictures)  # which would be read out twice
    assert 1 <= page.partition("</ol>")[0].count("<li>") <= 8  # of findings


MEASURE = """<script>
addEventListener("load", () => parent.postMessage([innerWidth, document.documentElement.scrollWidth,
  document.documentElement.scrollHeight,
  [...document.querySelectorAll(".claim")].filter(own => own.offsetHeight).length], "*"));
const only = document.getElementById(new URLSearchParams(location.search).get("only")); if (only) only.checked = true;
</script>"""
FRAME = """<iframe style="border: 0; width: {width}px; height: 900px" src="page.html?only={only}"></iframe>
<script>onmessage = event => document.title = event.data.join(" ")</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason=WITHOUT_BROWSER)
def test_the_page_fits_its_window_and_shows_the_verdicts_that_are_chosen(report: Path, tmp_path: Path) -> None:
    page = (report / "report.html").read_text()
    (tmp_path / "page.html").write_text(page.replace("</body>", f"{MEASURE}</body>"))

    def measure(width: int, only: str) -> tuple[int, int]:
        (tmp_path / "frame.html").write_text(FRAME.format(width=width, only=only))
        flags = ("--hide-scrollbars", "--virtual-time-budget=20000", "--window-size=1400,1000")
        dumped = browse((tmp_path / "frame.html").as_uri(), tmp_path / "browser", *flags)
        window, content, height, num_claims = map(int, re.findall(r"<title>([\d ]+)</title>", dumped)[0].split())
        assert window == width
        assert content <= window
        return height, num_claims

    height, num_claims = measure(1300, "only-all")
    assert height <= 25 * 900
    _, num_supported = measure(400, "only-supported")
    assert 0 < num_supported < num_claims
    (told,) = re.findall(r"✓ supported \((\d+)\)", page)
    assert num_supported == int(told)


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ("trials.parquet", "{folder}/trials.parquet does not exist; `spikeslab collect STUDY` rebuilds it"),
        ("history.parquet", "{folder}/history.parquet does not exist; `spikeslab collect STUDY` rebuilds it"),
        ("exhibits", "edited_codes: not drawn, the study stored no exhibits"),
        ("provenance.json", "no record of what trained `edited-codes`."),
    ],
)
def test_what_is_deleted_is_said_to_be_missing(lost: str, said: str, tmp_path: Path) -> None:
    name = "edited-codes"
    shutil.copytree(PUBLISHED / name, tmp_path / "results" / name)
    found = tmp_path / "results" / name / lost
    shutil.rmtree(found) if found.is_dir() else found.unlink()
    report_studies([], tmp_path / "results", tmp_path / "report")
    (missing,) = re.findall(r"\*\*Missing:\*\* (.*)", (tmp_path / "report" / "report.md").read_text())
    assert missing.startswith(said.format(folder=found.parent))
