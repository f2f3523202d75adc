import ast
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import pytest
from PIL import Image

from analysis.drawing.figure import Drawn, Figure
from analysis.drawing.save import read_about
from analysis.figure_names import FIGURE_NAMES
from analysis.figures import draw as figures
from analysis.figures.draw import FIGURES, draw_comparison, draw_figures, draw_studies
from analysis.tables import Tables, load_tables
from analysis.tables.series import NothingToDrawError
from harness.study.sections import FigureName
from tests.analysis.disentangled_study import make_study as make_disentangled
from tests.analysis.figures.test_bounds_beside_published import read_off
from tests.analysis.figures.test_compared_settings import links
from tests.analysis.figures.test_gate_gradients import make_study as estimators
from tests.analysis.figures.test_report_figures import cost_study, with_probes
from tests.analysis.synthetic import SyntheticStudy, with_collapse, with_inference_gap, with_probe_controls

ALWAYS = ["elbo_by_latent_dim", "relaxed_elbo_by_latent_dim", "rate_distortion", "convergence", "sparsity_by_alpha"]
OF_SEARCHES = [
    *("elbo_by_latent_dim", "rate_distortion", "convergence", "sparsity_by_alpha"),
    *("optimisation_history", "best_so_far", "hyperparameter_importance", "parallel_coordinates", "slices"),
]


def files_of(names: list[str]) -> list[str]:
    return [f"{name}.{suffix}" for name in names for suffix in ("png", "pdf", "csv")]


def several_objectives() -> SyntheticStudy:
    study = SyntheticStudy()
    goals = {"objectives": '["val/rate", "val/distortion"]', "directions": '["minimize", "minimize"]'}
    study.random_search(40, **{"sampler": "nsga2"} | goals)
    return study


def several_lengths() -> SyntheticStudy:
    study = SyntheticStudy()
    for epochs in (10, 20, 40):
        study.grid([0.2], [8, 24], seeds=2, epochs=epochs)
    return study


def learning_rates_and_batch_sizes() -> SyntheticStudy:
    study = SyntheticStudy()
    for learning_rate in (1e-4, 1e-3):
        for batch_size in (16, 64):
            study.grid([0.2], [8], seeds=2, learning_rate=learning_rate, batch_size=batch_size)
    return study


def confirmed_search() -> SyntheticStudy:
    study = SyntheticStudy()
    study.random_search(40)
    rows = [dict(row) for row in study.trials[1::2][:2]]
    settings = ("model", "latent_dim", "alpha", "learning_rate", "batch_size")
    for row in rows:
        for phase, num_validation in (("select", 300), ("confirm", 0)):
            for seed in (1, 2, 3):
                study.add(
                    **{name: row[name] for name in settings},
                    **{"sampler": "random", "phase": phase, "num_validation": num_validation, "seed": seed},
                )
    return study


def with_every_measure() -> SyntheticStudy:
    study = SyntheticStudy()
    study.grid([0.2], [8, 24], seeds=2)
    return with_inference_gap(with_probe_controls(with_collapse(study)))


DRAWN: list[tuple[Callable[[], SyntheticStudy], list[str]]] = [
    (several_objectives, [*OF_SEARCHES, "pareto_front"]),
    (several_lengths, [*ALWAYS, "elbo_by_training_length"]),
    (learning_rates_and_batch_sizes, [*ALWAYS, "learning_rate_by_batch_size"]),
    (confirmed_search, [*OF_SEARCHES, "confirmed"]),
    (links, [*ALWAYS, "compared_settings"]),
    (
        with_probes,
        [
            *(*ALWAYS[:2], "accuracy_gain_by_latent_dim", "accuracy_by_latent_dim"),
            *(*ALWAYS[2:4], "losses_beside_reported", *ALWAYS[4:]),
        ],
    ),
    (
        with_every_measure,
        [
            *(*ALWAYS[:2], "inference_gap", "accuracy_gain_by_latent_dim", "accuracy_by_latent_dim", "probe_controls"),
            *(*ALWAYS[2:4], "sparsity_by_alpha", "collapse_by_latent_dim"),
        ],
    ),
    (estimators, [*ALWAYS, "compared_settings", "gate_gradients"]),
    (make_disentangled, [*ALWAYS, "disentanglement_scores", "disentanglement_by_sparsity", "learning_curves"]),
    (read_off, [*ALWAYS[:4], "elbo_by_training_length", "bounds_beside_published"]),
    (cost_study, ["convergence", "losses_beside_reported", "training_cost"]),
]
OF_EXHIBITS = [
    *("latents", "edited_codes", "codes_and_reconstructions", "traversals", "conditional_samples", "prior_samples"),
]
"""Drawn from arrays beside the tables: see the tests of each."""


def test_every_figure_is_written_as_png_and_pdf_and_nothing_else_is_left(
    quickstart: SyntheticStudy, tmp_path: Path
) -> None:
    told: list[Drawn] = []
    paths = draw_figures(quickstart.tables(), tmp_path / "new" / "figures", on_figure=told.append)
    assert [path.name for path in paths] == files_of(ALWAYS)
    assert sorted(paths[0].parent.iterdir()) == sorted(paths)
    assert [file for figure in told for file in figure.files] == paths
    assert str(told[0]) == (
        "elbo_by_latent_dim: elbo_by_latent_dim.png and elbo_by_latent_dim.pdf, numbers in elbo_by_latent_dim.csv"
    )
    assert paths[1].read_bytes().startswith(b"%PDF")
    with Image.open(paths[0]) as image:
        assert round(image.info["dpi"][0]) >= 150


@pytest.mark.parametrize("kind", ["quickstart", "random_search"])
def test_the_same_tables_give_the_same_bytes(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    study: SyntheticStudy = request.getfixturevalue(kind)
    tables = load_tables(study.write(tmp_path))
    first, second = (draw_figures(tables, tmp_path / name) for name in "ab")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


@pytest.mark.parametrize(("make_study", "names"), DRAWN)
def test_each_kind_of_study_has_its_figures(
    make_study: Callable[[], SyntheticStudy], names: list[str], tmp_path: Path
) -> None:
    tables = load_tables(make_study().write(tmp_path))
    assert [path.name for path in draw_figures(tables, tmp_path / "figures")] == files_of(names)


def test_the_kinds_of_studies_have_every_figure_between_them() -> None:
    drawn = {name for _, names in DRAWN for name in names}
    assert drawn | set(OF_EXHIBITS) == set(FIGURES) == set(get_args(FigureName))


def test_every_file_of_a_figure_is_listed() -> None:
    """Of the files in analysis/figures, all but `draw` and the helper for one axis hold a figure."""
    files = {path.stem for path in Path(figures.__file__).parent.glob("*.py")}
    assert files - {"__init__", "draw", "parallel_axes"} == set(FIGURE_NAMES)


def test_the_file_of_a_figure_ends_with_it_and_draws_with_what_the_file_defines() -> None:
    for name, figure in FIGURES.items():
        module = import_module(f"analysis.figures.{name}")
        last = ast.parse(inspect.getsource(module)).body[-1]
        assert isinstance(last, ast.Assign), module
        assert ast.unparse(last.targets[0]) == "FIGURE"
        assert figure is module.FIGURE
        assert module.FIGURE.compute is module.compute
        assert callable(module.plot)


def test_only_the_figures_that_are_asked_for_are_drawn(quickstart: SyntheticStudy, tmp_path: Path) -> None:
    paths = draw_figures(quickstart.tables(), tmp_path, only=["convergence"])
    assert [path.name for path in paths] == files_of(["convergence"])


def test_the_numbers_of_a_figure_stand_beside_it_with_the_band_computed_by_hand(tmp_path: Path) -> None:
    study = SyntheticStudy()
    for seed, elbo in enumerate((-30.0, -31.0, -35.0)):
        study.add("vae", 8, seed)
        study.trials[-1]["test/elbo"] = elbo
    draw_figures(study.tables(), tmp_path, only=["elbo_by_latent_dim"])
    (row,) = pd.read_csv(tmp_path / "elbo_by_latent_dim.csv").to_dict("records")
    half_width = 4.302653 * 7**0.5 / 3**0.5  # t(0.975, 2) * standard deviation / sqrt(n)
    assert (row["mean"], row["n"]) == (-32, 3)
    assert [row["low"], row["high"]] == pytest.approx([-32 - half_width, -32 + half_width], abs=1e-5)


def test_a_picture_carries_its_caption(quickstart: SyntheticStudy, tmp_path: Path) -> None:
    draw_figures(quickstart.tables(), tmp_path, only=["elbo_by_latent_dim"])
    text = read_about(tmp_path / "elbo_by_latent_dim.png").caption
    assert text.startswith("Mean and 95% interval (Student t) over seeds; dots: each seed.")
    assert "60 finished trials" in text


def test_the_letters_of_a_pdf_are_truetype_as_venues_ask(one_trial: SyntheticStudy, tmp_path: Path) -> None:
    draw_figures(one_trial.tables(), tmp_path, only=["elbo_by_latent_dim"], formats=["pdf"])
    content = (tmp_path / "elbo_by_latent_dim.pdf").read_bytes()
    assert b"/CIDFontType2" in content
    assert b"/Type3" not in content


def test_one_trial_is_drawn_whole(one_trial: SyntheticStudy, tmp_path: Path) -> None:
    assert [path.name for path in draw_figures(one_trial.tables(), tmp_path)] == files_of(ALWAYS)


@pytest.mark.parametrize("num", [1, 2])
def test_a_search_that_has_just_begun_draws_what_it_can(num: int, tmp_path: Path) -> None:
    study = SyntheticStudy()
    study.random_search(num)
    names = {path.stem for path in draw_figures(study.tables(), tmp_path)}
    assert {"optimisation_history", "best_so_far"} <= names
    assert ("slices" in names) == (num > 1)


def test_only_the_figure_of_all_phases_sees_the_trials_that_confirm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Tables] = {}

    def make(name: str, *, all_phases: bool) -> Figure:
        def compute(tables: Tables) -> pd.DataFrame:
            seen[name] = tables
            raise NothingToDrawError("it only looks")

        return Figure(title="", compute=compute, plot=lambda *_: None, all_phases=all_phases)

    made = {name: make(name, all_phases=name == "all") for name in ("search", "all")}
    monkeypatch.setattr(figures, "FIGURES", made)
    draw_figures(confirmed_search().tables(), tmp_path)
    assert {name: len(tables.trials) for name, tables in seen.items()} == {"search": 40, "all": 52}
    assert set(seen["search"].trials["phase"]) == {"search"}
    assert {name: tables.history["trial_id"].nunique() for name, tables in seen.items()} == {"search": 40, "all": 52}


def test_several_studies_are_compared_in_one_figure(tmp_path: Path) -> None:
    studies = {}
    for sampler in ("random", "tpe"):
        study = SyntheticStudy()
        study.random_search(5, sampler=sampler)
        studies[f"of-{sampler}"] = study.tables()
    drawn = draw_comparison(studies, tmp_path / "new")
    assert [path.name for path in drawn.files] == files_of(["best_so_far"])
    assert str(drawn) == "best_so_far: best_so_far.png and best_so_far.pdf, numbers in best_so_far.csv"


def test_a_comparison_that_cannot_be_drawn_says_why(quickstart: SyntheticStudy, tmp_path: Path) -> None:
    drawn = draw_comparison({"a": quickstart.tables()}, tmp_path)
    assert drawn == Drawn("best_so_far", reason="a grid trains every point, so nothing was searched")
    assert str(drawn) == f"best_so_far: not drawn, {drawn.reason}"


def test_a_figure_that_cannot_be_drawn_is_reported_and_its_old_files_go(tmp_path: Path) -> None:
    study = SyntheticStudy()
    study.add("vae", 8, 0)
    (tmp_path / "sparsity_by_alpha.png").write_text("of an earlier run")
    told: list[Drawn] = []
    paths = draw_figures(study.tables(), tmp_path, on_figure=told.append)
    assert [path.name for path in paths] == files_of(ALWAYS[:4])
    assert Drawn("sparsity_by_alpha", reason="no finished trial has a value of alpha") in told
    assert not (tmp_path / "sparsity_by_alpha.png").exists()


def test_a_study_without_finished_trials_draws_nothing_and_says_why(tmp_path: Path) -> None:
    study = SyntheticStudy()
    study.add("vae", 8, 0, status="running")
    told: list[Drawn] = []
    assert draw_figures(study.tables(), tmp_path, on_figure=told.append) == []
    assert [figure.name for figure in told] == list(FIGURES)
    assert told[0] == Drawn("elbo_by_latent_dim", reason="no trial has finished")


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


def test_an_error_in_one_figure_costs_no_other(
    one_trial: SyntheticStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a slip")

    told: list[Drawn] = []
    expected = draw_figures(one_trial.tables(), tmp_path, formats=["png"])
    monkeypatch.setitem(FIGURES, "convergence", replace(FIGURES["convergence"], plot=fail))
    drawn = draw_figures(one_trial.tables(), tmp_path, formats=["png"], on_figure=told.append)
    assert drawn == [path for path in expected if path.stem != "convergence"]
    (broken,) = (figure for figure in told if figure.is_error)
    assert str(broken) == "convergence: not drawn, an error in drawing it (ZeroDivisionError: a slip)"
    assert not (tmp_path / "convergence.png").exists(), "it would show other trials than its neighbours"


MEASURE = """
import json, re, sys, time
start = time.perf_counter()
from pathlib import Path
from analysis.figures.draw import draw_figures
from analysis.tables.tables import load_tables
draw_figures(load_tables(Path(sys.argv[1])), Path(sys.argv[1]) / "figures")
print(json.dumps({
    "seconds": time.perf_counter() - start,
    # Not ru_maxrss: that begins with what the process that started this one had.
    "megabytes": int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024,
    "unwanted": sorted({"ray", "torch", "mlflow", "optuna", "matplotlib.pyplot"} & set(sys.modules)),
}))
"""


def draw_a_thousand(kind: str, folder: Path) -> dict[str, Any]:
    """What it takes a process to draw a thousand trials of a hundred epochs."""
    study = SyntheticStudy("mnist")
    if kind == "grid":
        study.grid([0.01, 0.2, 0.5], range(8, 201, 8), seeds=10, epochs=100)
    else:
        study.random_search(1000, epochs=100)
    study.write(folder)
    command = [sys.executable, "-c", MEASURE, str(folder)]
    root = Path(__file__).parents[3]
    output = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    measured: dict[str, Any] = json.loads(output)
    print(kind, measured)
    return measured


@pytest.mark.parametrize("kind", ["grid", "search"])
def test_a_thousand_trials_of_a_hundred_epochs_take_a_gigabyte_at_most(kind: str, tmp_path: Path) -> None:
    measured = draw_a_thousand(kind, tmp_path)
    names = [*ALWAYS, "losses_beside_reported"] if kind == "grid" else OF_SEARCHES
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == set(names)
    assert measured["megabytes"] <= 1000
    assert measured["unwanted"] == ([] if kind == "grid" else ["optuna"])  # for importances, and no more than that


@pytest.mark.slow  # a figure of the machine as much as of the code
@pytest.mark.parametrize("kind", ["grid", "search"])
def test_a_thousand_trials_of_a_hundred_epochs_take_ten_seconds_at_most(kind: str, tmp_path: Path) -> None:
    assert draw_a_thousand(kind, tmp_path)["seconds"] <= 10


def test_a_long_legend_takes_no_room_from_the_panels(tmp_path: Path) -> None:
    widths = []
    for link in ("sigmoid", "a_gamma_link_whose_name_is_so_long_that_it_fills_half_of_the_figure"):
        study = SyntheticStudy()
        for seed in (0, 1):
            for own in ("exp_relu", link):
                study.add("vsc", 8, seed, 0.2, gamma_link=own)
        draw_figures(study.tables(), tmp_path / link, only=["convergence"], formats=["png"])
        with Image.open(tmp_path / link / "convergence.png") as picture:
            widths.append(picture.width)
    assert widths[1] > widths[0] + 200


class Deadly(frozenset[str]):
    """Names that kill the process which is sent them."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (9,)


def test_studies_are_drawn_even_if_a_process_that_draws_them_is_killed(
    quickstart: SyntheticStudy, tmp_path: Path
) -> None:
    only = {"one": Deadly({"convergence"}), "other": {"convergence"}}
    drawn = draw_studies(dict.fromkeys(only, quickstart.tables()), tmp_path, only=only, num_processes=2)
    assert {name: [one.name for one in of_study] for name, of_study in drawn.items()} == {
        "one": ["convergence"],
        "other": ["convergence"],
    }
    assert (tmp_path / "one" / "convergence.svg").exists()
