"""All figures of a study, drawn from its tables into PNG and PDF."""

from collections.abc import Callable, Mapping
from pathlib import Path

from analysis import (
    best_so_far,
    confirmed,
    convergence,
    elbo_by_latent_dim,
    elbo_by_training_length,
    hyperparameter_importance,
    learning_rate_by_batch_size,
    optimisation_history,
    parallel_coordinates,
    pareto_front,
    rate_distortion,
    slices,
    sparsity_by_alpha,
)
from analysis.drawable import Drawable, draw
from analysis.objectives import COUNTED
from analysis.style import ALPHA
from analysis.tables import Tables, join_studies, of_search

BEST_SO_FAR = Drawable(
    "best_so_far",
    "The best of the search by trained epochs",
    best_so_far.NEEDS,
    lambda tables: best_so_far.compute_best_so_far(tables.trials, tables.history),
    best_so_far.plot_best_so_far,
    best_so_far.panel_shape,
    (6.5, 4.0),
    shows=COUNTED,
    note=best_so_far.note,
)
FIGURES = (
    Drawable(
        "elbo_by_latent_dim",
        "Test ELBO by number of latent dimensions",
        elbo_by_latent_dim.NEEDS,
        lambda tables: elbo_by_latent_dim.compute_elbo_by_latent_dim(tables.trials),
        lambda frame, axes: elbo_by_latent_dim.plot_elbo_by_latent_dim(frame, axes[0, 0]),
    ),
    Drawable(
        "rate_distortion",
        "Rate and distortion on test images after training",
        rate_distortion.NEEDS,
        lambda tables: rate_distortion.compute_rate_distortion(tables.trials),
        lambda frame, axes: rate_distortion.plot_rate_distortion(frame, axes[0, 0]),
    ),
    Drawable(
        "convergence",
        "Loss by epoch, on training images and on unseen ones",
        convergence.NEEDS,
        lambda tables: convergence.compute_convergence(tables.trials, tables.history),
        convergence.plot_convergence,
        convergence.panel_shape,
        (4.0, 2.9),
    ),
    Drawable(
        "sparsity_by_alpha",
        f"Non-zero code entries by the prior's {ALPHA}",
        sparsity_by_alpha.NEEDS,
        lambda tables: sparsity_by_alpha.compute_sparsity_by_alpha(tables.trials),
        lambda frame, axes: sparsity_by_alpha.plot_sparsity_by_alpha(frame, axes[0, 0]),
    ),
    Drawable(
        "optimisation_history",
        "What each trial of the search reached",
        optimisation_history.NEEDS,
        lambda tables: optimisation_history.compute_optimisation_history(tables.trials, tables.history),
        optimisation_history.plot_optimisation_history,
        optimisation_history.panel_shape,
        (6.5, 4.0),
        shows=COUNTED,
        note=optimisation_history.note,
    ),
    BEST_SO_FAR,
    Drawable(
        "hyperparameter_importance",
        "Which settings set the best trials of the search apart",
        hyperparameter_importance.NEEDS,
        lambda tables: hyperparameter_importance.compute_hyperparameter_importance(tables.trials, tables.history),
        hyperparameter_importance.plot_hyperparameter_importance,
        hyperparameter_importance.panel_shape,
        (4.5, 3.2),
        shares="",
        note=hyperparameter_importance.note,
    ),
    Drawable(
        "parallel_coordinates",
        "The settings of the search's trials, and what they reached",
        parallel_coordinates.NEEDS,
        lambda tables: parallel_coordinates.compute_parallel_coordinates(tables.trials, tables.history),
        lambda frame, axes: parallel_coordinates.plot_parallel_coordinates(frame, axes[0, 0]),
        panel_size=(8.0, 4.6),
        shows=COUNTED,
        note=parallel_coordinates.note,
    ),
    Drawable(
        "slices",
        "What the trials of the search reached, by each setting",
        slices.NEEDS,
        lambda tables: slices.compute_slices(tables.trials, tables.history),
        slices.plot_slices,
        slices.panel_shape,
        (3.0, 3.0),
        shares="y",
        shows=COUNTED,
        note=slices.note,
    ),
    Drawable(
        "elbo_by_training_length",
        "Test ELBO by number of training epochs",
        elbo_by_training_length.NEEDS,
        lambda tables: elbo_by_training_length.compute_elbo_by_training_length(tables.trials, tables.history),
        elbo_by_training_length.plot_elbo_by_training_length,
        elbo_by_training_length.panel_shape,
        (6.0, 3.9),
        note=elbo_by_training_length.note,
    ),
    Drawable(
        "learning_rate_by_batch_size",
        "What each learning rate reached, by batch size",
        learning_rate_by_batch_size.NEEDS,
        lambda tables: learning_rate_by_batch_size.compute_learning_rate_by_batch_size(tables.trials, tables.history),
        learning_rate_by_batch_size.plot_learning_rate_by_batch_size,
        learning_rate_by_batch_size.panel_shape,
        learning_rate_by_batch_size.PANEL_SIZE,
        shares="y",
        shows=COUNTED,
        note=learning_rate_by_batch_size.note,
    ),
    Drawable(
        "pareto_front",
        "What the study's objectives trade off",
        pareto_front.NEEDS,
        lambda tables: pareto_front.compute_pareto_front(tables.trials, tables.history),
        pareto_front.plot_pareto_front,
        pareto_front.panel_shape,
        pareto_front.PANEL_SIZE,
        shares="y",
        note=pareto_front.note,
    ),
    Drawable(
        "confirmed",
        "The best configurations, trained again to confirm them",
        confirmed.NEEDS,
        lambda tables: confirmed.compute_confirmed(tables.trials, tables.history),
        lambda frame, axes: confirmed.plot_confirmed(frame, axes[0, 0]),
        panel_size=(7.0, 4.6),
        note=confirmed.note,
        all_phases=True,
    ),
)


def draw_figures(tables: Tables, folder: Path, *, on_figure: Callable[[str], None] | None = None) -> list[Path]:
    """Write every figure that the tables can support to `folder`; return the paths, PNG and PDF of each.

    `on_figure` hears one line per figure: its files, or why it was not drawn.
    """
    searched = of_search(tables)
    written: list[Path] = []
    for drawable in FIGURES:
        seen = tables if drawable.all_phases else searched
        written += draw(drawable, seen, folder, on_figure)
    return written


def draw_comparison(
    tables_by_study: Mapping[str, Tables], folder: Path, *, on_figure: Callable[[str], None] | None = None
) -> list[Path]:
    """Write what several studies found by trained epochs to one figure in `folder`; otherwise as `draw_figures`."""
    joined = join_studies({name: of_search(tables) for name, tables in tables_by_study.items()})
    return draw(BEST_SO_FAR, joined, folder, on_figure)
