# ruff: noqa: RUF001  (a Greek letter, meant as one)
import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from analysis.caption import caption
from analysis.elbo_by_latent_dim import compute_elbo_by_latent_dim
from analysis.figures import FIGURES, draw_figures
from analysis.tables import load_tables
from tests.analysis.synthetic import SyntheticStudy

NAMES = ["elbo_by_latent_dim", "rate_distortion", "convergence", "sparsity_by_alpha"]
FILES = [f"{name}.{suffix}" for name in NAMES for suffix in ("png", "pdf")]


def test_every_figure_is_written_as_png_and_pdf_and_nothing_else_is_left(
    quickstart: SyntheticStudy, tmp_path: Path
) -> None:
    heard: list[str] = []
    paths = draw_figures(quickstart.tables(), tmp_path / "new" / "figures", on_figure=heard.append)
    assert [path.name for path in paths] == FILES
    assert sorted(paths[0].parent.iterdir()) == sorted(paths)
    assert heard[0] == "elbo_by_latent_dim: elbo_by_latent_dim.png and elbo_by_latent_dim.pdf"
    assert paths[1].read_bytes().startswith(b"%PDF")
    with Image.open(paths[0]) as image:
        assert round(image.info["dpi"][0]) >= 150


def test_the_same_tables_give_the_same_bytes(quickstart: SyntheticStudy, tmp_path: Path) -> None:
    tables = load_tables(quickstart.write(tmp_path))
    first, second = (draw_figures(tables, tmp_path / name) for name in "ab")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


@pytest.mark.parametrize("shape", ["one_trial", "random_search"])
def test_unusual_studies_are_drawn_whole(shape: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    study: SyntheticStudy = request.getfixturevalue(shape)
    assert [path.name for path in draw_figures(study.tables(), tmp_path)] == FILES


def test_a_figure_that_cannot_be_drawn_is_reported_and_its_old_files_go(tmp_path: Path) -> None:
    study = SyntheticStudy()
    study.add("vae", 8, 0)
    (tmp_path / "sparsity_by_alpha.png").write_text("of an earlier run")
    heard: list[str] = []
    paths = draw_figures(study.tables(), tmp_path, on_figure=heard.append)
    assert [path.name for path in paths] == FILES[:6]
    assert heard[-1] == "sparsity_by_alpha: not drawn, no finished trial has a value of alpha"
    assert not (tmp_path / "sparsity_by_alpha.png").exists()


def test_a_study_without_finished_trials_draws_nothing_and_says_why(tmp_path: Path) -> None:
    study = SyntheticStudy()
    study.add("vae", 8, 0, status="running")
    heard: list[str] = []
    assert draw_figures(study.tables(), tmp_path, on_figure=heard.append) == []
    assert heard == [f"{figure.name}: not drawn, no trial has finished" for figure in FIGURES]


def test_a_failed_write_leaves_the_old_figure(
    one_trial: SyntheticStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Path, target: Path) -> None:
        raise OSError("disk full")

    old = tmp_path / "elbo_by_latent_dim.png"
    old.write_text("old")
    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        draw_figures(one_trial.tables(), tmp_path)
    assert list(tmp_path.iterdir()) == [old]
    assert old.read_text() == "old"


def test_the_caption_says_what_is_shown_and_what_is_left_out(quickstart: SyntheticStudy) -> None:
    for status in ("diverged", "diverged", "failed"):
        quickstart.add("vae", 8, 9, status=status)
    quickstart.trials[0]["test/elbo"] = float("nan")
    trials = quickstart.tables().trials
    text = caption(trials, ["test/elbo"], compute_elbo_by_latent_dim(trials), width=200)
    assert text.splitlines() == [
        "Mean and 95% interval (Student t) over seeds.",
        "digits · 59 finished trials · 3 seeds · 30 epochs · left out: 2 diverged, 1 failed, 1 without test/elbo",
    ]


def test_the_caption_of_a_search_says_in_what_its_trials_differ(random_search: SyntheticStudy) -> None:
    trials = random_search.tables().trials
    text = caption(trials, ["test/elbo"], compute_elbo_by_latent_dim(trials), width=200)
    assert text.startswith("Each trial on its own, no means: trials differ in model, latent dimension, α,")


MEASURE = """
import json, resource, sys, time
start = time.perf_counter()
from pathlib import Path
from analysis.figures import draw_figures
from analysis.tables import load_tables
draw_figures(load_tables(Path(sys.argv[1])), Path(sys.argv[1]) / "figures")
print(json.dumps({
    "seconds": time.perf_counter() - start,
    "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    "unwanted": sorted({"ray", "torch", "mlflow", "optuna", "matplotlib.pyplot"} & set(sys.modules)),
}))
"""


@pytest.mark.parametrize("kind", ["grid", "search"])
def test_a_thousand_trials_of_a_hundred_epochs_take_ten_seconds_and_a_gigabyte_at_most(
    kind: str, tmp_path: Path
) -> None:
    study = SyntheticStudy("mnist")
    if kind == "grid":
        study.grid([0.01, 0.2, 0.5], range(8, 201, 8), seeds=10, epochs=100)
    else:
        study.random_search(1000, epochs=100)
    study.write(tmp_path)
    command = [sys.executable, "-c", MEASURE, str(tmp_path)]
    root = Path(__file__).parents[2]
    output = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    measured = json.loads(output)
    print(kind, measured)
    assert len(list((tmp_path / "figures").iterdir())) == 8
    assert measured["seconds"] <= 10
    assert measured["megabytes"] <= 1000
    assert measured["unwanted"] == []
