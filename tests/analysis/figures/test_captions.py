# ruff: noqa: RUF001  (a Greek letter, meant as one)
"""What captions say of the trials that figures show."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.drawing.caption import reading_note, trials_note
from analysis.drawing.save import read_about
from analysis.figures import elbo_by_latent_dim
from analysis.figures.draw import FIGURES, draw_figures
from analysis.tables import Tables
from analysis.tables.objectives import COUNTED
from analysis.tables.series import finished_with
from tests.analysis.disentangled_study import make_study as make_disentangled
from tests.analysis.figures.test_compared_settings import links
from tests.analysis.figures.test_gate_gradients import make_study as estimators
from tests.analysis.figures.test_report_figures import cost_study, with_probes
from tests.analysis.synthetic import SyntheticStudy, with_inference_gap


def notes(tables: Tables) -> list[str]:
    trials = tables.trials
    shown = finished_with(trials, ["test/elbo"])
    return [reading_note(elbo_by_latent_dim.compute(tables), shown), trials_note(trials, ["test/elbo"])]


def test_the_caption_says_what_is_shown_and_what_is_left_out(quickstart: SyntheticStudy) -> None:
    for status in ("diverged", "diverged", "failed"):
        quickstart.add("vae", 8, 9, status=status)
    quickstart.trials[0]["test/elbo"] = float("nan")
    assert notes(quickstart.tables()) == [
        "Mean and 95% interval (Student t) over seeds; dots: each seed.",
        "digits · 59 finished trials · 3 seeds · 30 epochs · left out: 2 diverged, 1 failed, 1 without test/elbo",
    ]


def test_the_caption_of_a_search_says_in_what_its_trials_differ(random_search: SyntheticStudy) -> None:
    assert notes(random_search.tables())[0].startswith(
        "Each trial on its own, no means: trials differ in model, latent dimension, α,"
    )


def test_the_caption_tells_trials_that_were_stopped_from_those_left_out() -> None:
    study = SyntheticStudy()
    study.random_search(4)
    study.stop_early(1, epochs=5)
    study.add_searched(0.0, status="diverged")
    assert trials_note(study.tables().trials, [], COUNTED) == (
        "digits · 3 finished trials · 1 stopped early · 1 seed · 5 to 30 epochs · left out: 1 diverged"
    )


def test_the_caption_counts_the_longest_of_each_training_where_they_alone_are_drawn(tmp_path: Path) -> None:
    study = SyntheticStudy()
    for seed in (0, 1):
        for epochs in (11, 100):
            study.add("vae", 8, seed, epochs=epochs)
    names = ["elbo_by_latent_dim", "elbo_by_training_length"]
    draw_figures(study.tables(), tmp_path, only=names, for_page=True)
    longest, every = (read_about(tmp_path / f"{name}.svg").caption for name in names)
    assert longest.endswith(
        "digits · 2 finished trials · 2 seeds · 100 epochs · left out: 2 shorter ones of the same trainings"
    )
    assert every.endswith("digits · 4 finished trials · 2 seeds · 11 to 100 epochs")


@pytest.mark.parametrize(
    ("name", "study"),
    [
        ("relaxed_elbo_by_latent_dim", with_probes),
        ("training_cost", cost_study),
        ("inference_gap", lambda: with_inference_gap(with_probes())),
        ("accuracy_by_latent_dim", with_probes),
        ("accuracy_gain_by_latent_dim", with_probes),
        ("compared_settings", links),
        ("gate_gradients", estimators),
        ("disentanglement_scores", make_disentangled),
    ],
)
def test_of_one_seed_no_caption_tells_of_an_interval(name: str, study: Callable[[], SyntheticStudy]) -> None:
    tables, figure = study().tables(), FIGURES[name]
    assert figure.note is not None
    several, one = (
        figure.note(figure.compute(replace(tables, trials=trials)))
        for trials in (tables.trials, tables.trials[tables.trials["seed"] == 0])
    )
    assert "95% interval" in several
    assert "95% interval" not in one
    assert "one seed" in one.lower()
