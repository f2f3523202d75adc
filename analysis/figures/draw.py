"""All figures of a study, drawn from its tables into PNG and PDF."""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import starmap
from multiprocessing import get_context
from pathlib import Path

from analysis.drawing.figure import FORMATS, Drawable, draw
from analysis.figures import (
    accuracy_by_latent_dim,
    best_so_far,
    codes_and_reconstructions,
    compared_settings,
    conditional_samples,
    confirmed,
    convergence,
    edited_codes,
    elbo_by_latent_dim,
    elbo_by_training_length,
    hyperparameter_importance,
    learning_rate_by_batch_size,
    losses_beside_reported,
    optimisation_history,
    parallel_coordinates,
    pareto_front,
    prior_samples,
    rate_distortion,
    relaxed_elbo_by_latent_dim,
    slices,
    sparsity_by_alpha,
    training_cost,
    traversals,
)
from analysis.tables import Tables, join_studies, of_search
from analysis.tables.confirmed import compute_confirmed
from analysis.tables.objectives import COUNTED
from analysis.wording import ALPHA

BEST_SO_FAR = Drawable(
    "best_so_far",
    "The best of the search by trained epochs",
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
        lambda tables: elbo_by_latent_dim.compute_elbo_by_latent_dim(tables.trials),
        lambda frame, axes: elbo_by_latent_dim.plot_elbo_by_latent_dim(frame, axes[0, 0]),
        needs=elbo_by_latent_dim.NEEDS,
    ),
    Drawable(
        "relaxed_elbo_by_latent_dim",
        "The report's bound by number of latent dimensions (its Figure 1)",
        lambda tables: relaxed_elbo_by_latent_dim.compute_relaxed_elbo_by_latent_dim(tables.trials),
        lambda frame, axes: relaxed_elbo_by_latent_dim.plot_relaxed_elbo_by_latent_dim(frame, axes[0, 0]),
        note=relaxed_elbo_by_latent_dim.note,
        needs=relaxed_elbo_by_latent_dim.NEEDS,
    ),
    Drawable(
        "accuracy_by_latent_dim",
        "Accuracy of classifiers on codes by number of latent dimensions (the report's Figure 2)",
        lambda tables: accuracy_by_latent_dim.compute_accuracy_by_latent_dim(tables.trials),
        accuracy_by_latent_dim.plot_accuracy_by_latent_dim,
        accuracy_by_latent_dim.panel_shape,
        (4.0, 3.1),
        shares="xy",
        note=accuracy_by_latent_dim.note,
        needs=accuracy_by_latent_dim.NEEDS,
    ),
    Drawable(
        "rate_distortion",
        "Rate and distortion on test images after training",
        lambda tables: rate_distortion.compute_rate_distortion(tables.trials),
        lambda frame, axes: rate_distortion.plot_rate_distortion(frame, axes[0, 0]),
        note=rate_distortion.note,
        needs=rate_distortion.NEEDS,
    ),
    Drawable(
        "convergence",
        "Loss by epoch, on training images and on unseen ones",
        lambda tables: convergence.compute_convergence(tables.trials, tables.history),
        convergence.plot_convergence,
        convergence.panel_shape,
        (4.0, 2.9),
        note=convergence.note,
    ),
    Drawable(
        "losses_beside_reported",
        "Loss by epoch, less that of the report's own curves",
        lambda tables: losses_beside_reported.compute_losses_beside_reported(tables.trials, tables.history),
        losses_beside_reported.plot_losses_beside_reported,
        convergence.panel_shape,
        (4.0, 2.9),
        shares="xy",
        note=losses_beside_reported.note,
    ),
    Drawable(
        "sparsity_by_alpha",
        f"Non-zero code entries by the prior's {ALPHA}",
        lambda tables: sparsity_by_alpha.compute_sparsity_by_alpha(tables.trials),
        lambda frame, axes: sparsity_by_alpha.plot_sparsity_by_alpha(frame, axes[0, 0]),
        needs=sparsity_by_alpha.NEEDS,
    ),
    Drawable(
        "compared_settings",
        "What each choice of setting reached",
        lambda tables: compared_settings.compute_compared_settings(tables.trials),
        compared_settings.plot_compared_settings,
        compared_settings.panel_shape,
        (3.6, 4.0),
        shares="y",
        shows=("finished", "diverged"),
        note=compared_settings.note,
    ),
    Drawable(
        "training_cost",
        "What training costs (the report's section 4.3)",
        lambda tables: training_cost.compute_training_cost(tables.trials),
        training_cost.plot_training_cost,
        training_cost.panel_shape,
        (4.4, 3.8),
        shares="",
        note=training_cost.note,
        needs=training_cost.NEEDS,
    ),
    Drawable(
        "optimisation_history",
        "What each trial of the search reached",
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
        lambda tables: parallel_coordinates.compute_parallel_coordinates(tables.trials, tables.history),
        lambda frame, axes: parallel_coordinates.plot_parallel_coordinates(frame, axes[0, 0]),
        panel_size=(8.0, 4.6),
        shows=COUNTED,
        note=parallel_coordinates.note,
    ),
    Drawable(
        "slices",
        "What the trials of the search reached, by each setting",
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
        lambda tables: elbo_by_training_length.compute_elbo_by_training_length(tables.trials, tables.history),
        elbo_by_training_length.plot_elbo_by_training_length,
        elbo_by_training_length.panel_shape,
        (6.0, 3.9),
        note=elbo_by_training_length.note,
        needs=elbo_by_training_length.NEEDS,
    ),
    Drawable(
        "learning_rate_by_batch_size",
        "What each learning rate reached, by batch size",
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
        lambda tables: compute_confirmed(tables.trials, tables.history),
        lambda frame, axes: confirmed.plot_confirmed(frame, axes[0, 0]),
        panel_size=(7.0, 4.6),
        note=confirmed.note,
        all_phases=True,
    ),
    Drawable(
        "edited_codes",
        "Pictures when the largest entry of a code is edited (the report's Figure 3)",
        edited_codes.compute_edited_codes,
        edited_codes.plot_edited_codes,
        edited_codes.panel_shape,
        (1.9, 1.25),
        shares="",
        note=edited_codes.note,
    ),
    Drawable(
        "codes_and_reconstructions",
        "Images, their codes, and the pictures decoded from them (the report's Figure 4)",
        codes_and_reconstructions.compute_codes_and_reconstructions,
        codes_and_reconstructions.plot_codes_and_reconstructions,
        codes_and_reconstructions.panel_shape,
        (3.0, 1.25),
        shares="",
        note=codes_and_reconstructions.note,
    ),
    Drawable(
        "traversals",
        "Pictures as one latent at a time changes (the report's Figure 5)",
        traversals.compute_traversals,
        traversals.plot_traversals,
        traversals.panel_shape,
        (3.2, 3.0),
        shares="",
        note=traversals.note,
    ),
    Drawable(
        "conditional_samples",
        "Samples that keep the largest entries of a code (the report's Figure 6)",
        conditional_samples.compute_conditional_samples,
        conditional_samples.plot_conditional_samples,
        conditional_samples.panel_shape,
        (5.0, 0.75),
        shares="",
        note=conditional_samples.note,
    ),
    Drawable(
        "prior_samples",
        "Samples of the prior, and of the Gaussian that the report drew from",
        prior_samples.compute_prior_samples,
        prior_samples.plot_prior_samples,
        prior_samples.panel_shape,
        (3.0, 2.2),
        shares="",
        note=prior_samples.note,
    ),
)


def draw_figures(
    tables: Tables,
    folder: Path,
    *,
    only: Collection[str] | None = None,
    formats: Sequence[str] = FORMATS,
    on_figure: Callable[[str], None] | None = None,
) -> list[Path]:
    """Write every figure that the tables can support to `folder`; return the paths: of each its `formats` and a CSV.

    `only`: the names of those to draw; None for all. `on_figure` hears one line per figure: its files, or why it was
    not drawn.
    """
    searched = of_search(tables)
    written: list[Path] = []
    for drawable in FIGURES:
        if only is not None and drawable.name not in only:
            continue
        seen = tables if drawable.all_phases else searched
        written += draw(drawable, seen, folder, on_figure, formats)
    return written


def draw_studies(
    tables: Mapping[str, Tables], folder: Path, *, only: Mapping[str, Collection[str] | None]
) -> dict[str, tuple[list[Path], list[str]]]:
    """Draw several studies, each into a folder of its name, as PNG; return of each what was written and what was said.

    As many at once as there are cores: matplotlib takes half a second a figure. only: by study, as in `draw_figures`.
    """
    jobs = [(own, folder / name, only[name]) for name, own in tables.items()]
    num_processes = min(os.cpu_count() or 1, len(jobs))
    if num_processes < 2:
        return dict(zip(tables, starmap(_draw_and_hear, jobs), strict=True))
    # Not forked: threads of the libraries that read tables would leave their locks behind.
    with ProcessPoolExecutor(num_processes, mp_context=get_context("spawn")) as pool:
        return dict(zip(tables, pool.map(_draw_and_hear, *zip(*jobs, strict=True)), strict=True))


def _draw_and_hear(tables: Tables, folder: Path, only: Collection[str] | None) -> tuple[list[Path], list[str]]:
    heard: list[str] = []
    return draw_figures(tables, folder, only=only, formats=["png"], on_figure=heard.append), heard


def draw_comparison(
    tables_by_study: Mapping[str, Tables], folder: Path, *, on_figure: Callable[[str], None] | None = None
) -> list[Path]:
    """Write what several studies found by trained epochs to one figure in `folder`; otherwise as `draw_figures`."""
    joined = join_studies({name: of_search(tables) for name, tables in tables_by_study.items()})
    return draw(BEST_SO_FAR, joined, folder, on_figure)
