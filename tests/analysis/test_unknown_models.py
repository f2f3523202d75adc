"""A model that analysis has never messages of, with a setting that only it has, is drawn as well as any."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text

from analysis.drawing.figure import Drawn
from analysis.drawing.style import MODEL_COLOURS, model_colour
from analysis.figures.draw import FIGURES, draw_figures
from analysis.tables import Tables
from analysis.wording import model_label
from tests.analysis.axes import make_axes
from tests.analysis.made_up_exhibits import StudyWithExhibits
from tests.analysis.synthetic import with_collapse, with_inference_gap, with_probe_controls

ANALYSIS = Path(__file__).parents[2] / "analysis"
MAY_NAME_MODELS = ("claims/", "tables/reported_numbers.py", "drawing/style.py", "wording.py")
"""The report's claims and numbers are of its two models by nature; the others hold the table of looks."""

SCALES = (0.5, 2.0)
TELLING_SCALES = ("elbo_by_latent_dim", "relaxed_elbo_by_latent_dim", "rate_distortion", "convergence")


def add_both(study: StudyWithExhibits, latent_dim: int, seed: int, scales: tuple[float, ...], **changes: Any) -> None:
    study.add("vae", latent_dim, seed, **changes)
    for scale in scales:
        study.add("laplace", latent_dim, seed, scale=scale, **changes)


def by_latent_dim() -> StudyWithExhibits:
    study = StudyWithExhibits()
    for seed in range(3):
        for latent_dim in (4, 8, 16):
            add_both(study, latent_dim, seed, SCALES)
    for row in study.trials:
        row |= {"probe/report_coded_mu_5k_accuracy": 0.5 + 0.01 * row["seed"], "probe/linear_mu_all_accuracy": 0.9}
    return study


def by_length() -> StudyWithExhibits:
    study = StudyWithExhibits()
    for seed in (0, 1):
        for epochs in (10, 20):
            add_both(study, 8, seed, SCALES, epochs=epochs)
    return study


def by_learning_rate_and_batch_size() -> StudyWithExhibits:
    study = StudyWithExhibits()
    for learning_rate in (1e-4, 1e-3):
        for batch_size in (16, 64):
            add_both(study, 8, 0, SCALES, learning_rate=learning_rate, batch_size=batch_size)
    return study


def by_initialisation() -> StudyWithExhibits:
    study = StudyWithExhibits()
    for seed in (0, 1):
        for initialisation in ("kaiming", "xavier"):
            add_both(study, 8, seed, SCALES[:1], initialisation=initialisation)
    return study


def with_every_measure() -> StudyWithExhibits:
    study = by_latent_dim()
    with_inference_gap(with_probe_controls(with_collapse(study)))
    return study


def of_cost() -> StudyWithExhibits:
    study = by_latent_dim()
    study.trials = [{name: value for name, value in row.items() if "/" not in name} for row in study.trials]
    return study


MADE: dict[str, Callable[[], StudyWithExhibits]] = {
    **dict.fromkeys(TELLING_SCALES, by_latent_dim),
    "accuracy_by_latent_dim": by_latent_dim,
    "accuracy_gain_by_latent_dim": by_latent_dim,
    "elbo_by_training_length": by_length,
    "learning_rate_by_batch_size": by_learning_rate_and_batch_size,
    "compared_settings": by_initialisation,
    **dict.fromkeys(("inference_gap", "probe_controls", "collapse_by_latent_dim"), with_every_measure),
    "training_cost": of_cost,
    "codes_and_reconstructions": by_latent_dim,
    "traversals": by_latent_dim,
    "conditional_samples": by_latent_dim,
    "prior_samples": by_latent_dim,
}
NOT_DRAWN = {
    "sparsity_by_alpha": "no finished trial has a value of alpha",
    "edited_codes": "no model with a sparse code has stored exhibits",
    "latents": "no finished trial has stored what each latent does (latents under evaluate)",
    "gate_gradients": "no finished trial has a value of estimator",
    "bounds_beside_published": "pixels are grey: papers print bounds on binary ones",
    "losses_beside_reported": "trials are trained otherwise than the report's",
    "learning_curves": "all trials are trained on the bound, whose loss the figure convergence shows",
    "disentanglement_scores": "no finished trial has a value of disentanglement/num_active",
    "disentanglement_by_sparsity": "no finished trial has a value of disentanglement/num_active",
}
OF_SEARCHES = {
    *("optimisation_history", "best_so_far", "hyperparameter_importance", "parallel_coordinates", "slices"),
    *("pareto_front", "confirmed"),
}


def test_every_figure_is_accounted_for() -> None:
    assert MADE.keys() | NOT_DRAWN.keys() | OF_SEARCHES == FIGURES.keys()


@pytest.mark.parametrize("name", MADE)
def test_it_is_named_in_every_figure_and_no_other_model_is(name: str, tmp_path: Path) -> None:
    axes, frame, tables = plot(name, tmp_path)
    words = "\n".join(text.get_text() for text in axes[0, 0].figure.findobj(Text))
    note = FIGURES[name].note
    caption = note(frame) if note else ""
    assert "laplace" in words
    assert "VAE" in words
    assert "VSC" not in words + caption
    assert set(tables.trials["model"]) == {"vae", "laplace"}


@pytest.mark.parametrize("name", [*TELLING_SCALES, "accuracy_by_latent_dim", "training_cost"])
def test_legends_and_labels_tell_its_settings_apart_and_none_is_said_of_the_vae(name: str, tmp_path: Path) -> None:
    axes, _, _ = plot(name, tmp_path)
    legends = [legend for ax in axes.flat if (legend := ax.get_legend())]
    texts = [text.get_text() for ax in axes.flat for text in ax.texts]  # at the ends of lines
    labels = {text.get_text() for legend in legends for text in legend.get_texts()} | set(texts)
    for label in ("VAE", "laplace, scale = 0.5", "laplace, scale = 2"):
        assert {label, f"{label} (3 seeds)"} & labels


def test_it_has_one_colour_in_every_figure_and_its_series_differ(tmp_path: Path) -> None:
    for name in ("elbo_by_latent_dim", "rate_distortion", "training_cost"):
        axes, _, _ = plot(name, tmp_path / name)
        looks = {(to_hex(line.get_color()), line.get_linestyle(), line.get_fillstyle()) for line in lines_of(axes)}
        assert {colour for colour, _, _ in looks} == {model_colour("laplace").lower()}
        assert len(looks) == len(SCALES)


@pytest.mark.parametrize("model", ["laplace", "soft_vae"])  # whose colours are the first two of the spare ones
def test_series_of_one_model_differ_in_colour_where_line_styles_tell_losses_apart(model: str, tmp_path: Path) -> None:
    study = by_latent_dim()
    for row in study.trials:
        row["model"] = {"laplace": model}.get(row["model"], row["model"])
    axes = draw("convergence", study.stored(tmp_path))[0]
    colours = {to_hex(line.get_color()) for line in lines_of(axes, model_label(model))}
    assert len(colours) == len(SCALES)
    assert colours.isdisjoint(colour.lower() for colour in MODEL_COLOURS.values())


@pytest.mark.parametrize("name", NOT_DRAWN)
def test_a_figure_of_sparse_codes_or_of_the_report_says_why_it_has_none(name: str, tmp_path: Path) -> None:
    told: list[Drawn] = []
    tables = by_latent_dim().stored(tmp_path / "study")
    assert draw_figures(tables, tmp_path / "figures", only=[name], on_figure=told.append) == []
    assert told == [Drawn(name, reason=NOT_DRAWN[name])]


def test_a_name_of_several_words_is_written_with_blanks() -> None:
    assert model_label("total_correlation") == "total correlation"


def test_no_file_but_those_about_the_report_and_the_table_of_looks_names_a_model() -> None:
    """Neither in code nor in words."""
    files = {path.relative_to(ANALYSIS).as_posix(): path for path in ANALYSIS.rglob("*.py")}
    named = {
        name
        for name, path in files.items()
        if not name.startswith(MAY_NAME_MODELS)
        for text in texts_of(path)
        if re.search(r"\b(vaes?|vscs?)\b", text, re.IGNORECASE)
    }
    assert named == set()


def texts_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def plot(name: str, folder: Path) -> tuple[np.ndarray, pd.DataFrame, Tables]:
    tables = MADE[name]().stored(folder)
    return (*draw(name, tables), tables)


def draw(name: str, tables: Tables) -> tuple[np.ndarray, pd.DataFrame]:
    frame = FIGURES[name].compute(tables)
    axes = make_axes(*FIGURES[name].shape(frame))
    FIGURES[name].plot(frame, axes)
    return axes, frame


def lines_of(axes: np.ndarray, label: str = "laplace") -> list[Any]:
    return [line for ax in axes.flat for line in ax.lines if str(line.get_label()).startswith(label)]
