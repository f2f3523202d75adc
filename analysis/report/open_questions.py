"""The questions that the report left open, answered from the tables of whatever studies there are.

Its tables, not its name, show which questions a study can answer: they hold a grid of learning rates by batch sizes,
trainings that were read off at several lengths, or a search whose best configurations were trained again.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

import pandas as pd

from analysis.figures.hyperparameter_importance import ENOUGH_TRIALS
from analysis.report.answers_from_grids import NO_GRID, describe_batch_size, describe_learning_rate, is_grid
from analysis.report.answers_from_lengths import (
    NO_LENGTHS,
    describe_convergence,
    describe_epochs,
    has_lengths,
)
from analysis.report.answers_from_searches import (
    NO_SEARCH,
    describe_confirmed_learning_rate,
    describe_winner,
    is_search,
)
from analysis.report.guard import Guard
from analysis.tables import Tables, of_search
from analysis.tables.reported_numbers import EPOCHS
from analysis.tables.series import NothingToDrawError
from analysis.wording import ALPHA, plural, span


def answer_open_questions(tables: Mapping[str, Tables], guard: Guard | None = None) -> str:
    """Markdown with an answer to each question from the studies, by name, that can give one.

    guard: notes where an answer went wrong; the others are given.
    """
    guard = guard or Guard()
    answer = partial(_from_each, guard=guard)
    grids, lengths = (
        {name: of_search(one) for name, one in _of_kind(tables, is_kind).items()} for is_kind in (is_grid, has_lengths)
    )
    searches = _of_kind(tables, is_search)
    importances: list[str] = []
    with guard.part("what batch sizes were worth in searches", importances):
        importances.append(_name_importances(searches))
    parts = [
        "### Does the batch size matter?",
        answer(grids, describe_batch_size, NO_GRID),
        *importances,
        "### Which learning rate?",
        answer(grids, describe_learning_rate, NO_GRID),
        answer(searches, describe_confirmed_learning_rate, NO_SEARCH),
        "### How many epochs are enough at which latent dimension?",
        answer(lengths, describe_epochs, NO_LENGTHS),
        f"### How far from converged was training for {EPOCHS} epochs?",
        answer(lengths, describe_convergence, NO_LENGTHS),
        f"### Which {ALPHA} and latent dimension did a search choose?",
        answer(searches, describe_winner, NO_SEARCH),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _of_kind(tables: Mapping[str, Tables], is_kind: Callable[[Tables], bool]) -> dict[str, Tables]:
    """The studies of a kind. One that cannot even be told is among them: its answer then says what is wrong."""
    kept = {}
    for name, one in tables.items():
        with suppress(Exception):
            if not is_kind(one):
                continue
        kept[name] = one
    return kept


def _from_each(tables: Mapping[str, Tables], describe: Callable[[Tables], str], none: str, *, guard: Guard) -> str:
    """The answer of each study, or why it has none. none: the reason where no study is of the kind."""
    answers: list[str] = []
    for name, one in tables.items():
        with guard.part(f"the answer of {name}", answers):
            try:
                answers.append(f"{_name(name, one.trials)}: {describe(one)}")
            except NothingToDrawError as reason:
                answers.append(f"{_name(name, one.trials)} cannot answer this: {reason}.")
    return "\n\n".join(answers) or f"This cannot be answered: {none}."


def _name(name: str, trials: pd.DataFrame) -> str:
    """The study with its dataset, seeds and epochs, and how many of its trials have not come to an end."""
    epochs = span(trials["epochs"].min(), trials["epochs"].max(), "epoch")
    parts = [", ".join(sorted(trials["dataset"].unique())), plural(trials["seed"].nunique(), "seed"), epochs]
    left = trials["status"][~trials["status"].isin(["finished", "stopped"])].value_counts().sort_index()
    parts += [f"{num:,} of {len(trials):,} trials {status}" for status, num in left.items()]
    return f"`{name}` ({', '.join(parts)})"


def _name_importances(searches: Mapping[str, Tables]) -> str:
    """Name the searches whose figures show what the batch size was worth: they varied it in enough finished trials."""
    names = []
    for name, one in searches.items():
        proposed = one.trials[(one.trials["sampler"] != "grid") & (one.trials["phase"] == "search")]
        finished = proposed.loc[proposed["status"] == "finished", "model"].value_counts()
        if proposed["batch_size"].nunique() > 1 and finished.max() >= ENOUGH_TRIALS:
            names.append(name)
    if not names:
        return ""
    studies = " and ".join(f"`{name}`" for name in names)
    return f"How much the batch size mattered in a search is in the figure hyperparameter_importance of {studies}."
