"""What the report left open, answered in numbers from the tables of whatever studies there are.

Which study can answer what is seen in its tables, not in its name: a grid of learning rates by batch sizes, trainings
that were read off at several lengths, a search whose best configurations were trained again.
"""

from collections.abc import Callable, Mapping

import pandas as pd

from analysis.figures.hyperparameter_importance import ENOUGH_TRIALS
from analysis.report.answers_from_grids import NO_GRID, is_grid, say_batch_size, say_learning_rate
from analysis.report.answers_from_lengths import NO_LENGTHS, REPORT_EPOCHS, has_lengths, say_convergence, say_epochs
from analysis.report.answers_from_searches import NO_SEARCH, is_search, say_confirmed_learning_rate, say_winner
from analysis.tables import Tables, of_search
from analysis.tables.series import NothingToDrawError
from analysis.wording import ALPHA, plural


def answer_open_questions(tables: Mapping[str, Tables]) -> str:
    """A section in Markdown with an answer to each question from the studies, by name, that can give one."""
    grids = {name: of_search(own) for name, own in tables.items() if is_grid(own)}
    lengths = {name: of_search(own) for name, own in tables.items() if has_lengths(own)}
    searches = {name: own for name, own in tables.items() if is_search(own)}
    parts = [
        "## What the report left open",
        "### Does the batch size matter?",
        _from_each(grids, say_batch_size, NO_GRID),
        _name_importances(searches),
        "### Which learning rate?",
        _from_each(grids, say_learning_rate, NO_GRID),
        _from_each(searches, say_confirmed_learning_rate, NO_SEARCH),
        "### How many epochs are enough at which latent dimension?",
        _from_each(lengths, say_epochs, NO_LENGTHS),
        f"### How far from converged was training for {REPORT_EPOCHS} epochs?",
        _from_each(lengths, say_convergence, NO_LENGTHS),
        f"### Which {ALPHA} and latent dimension did a search choose?",
        _from_each(searches, say_winner, NO_SEARCH),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _from_each(tables: Mapping[str, Tables], answer: Callable[[Tables], str], none: str) -> str:
    """What each study says, or why it cannot; `none` is the reason where no study is of the kind."""
    answers = []
    for name, own in tables.items():
        try:
            answers.append(f"{_name(name, own.trials)}: {answer(own)}")
        except NothingToDrawError as reason:
            answers.append(f"{_name(name, own.trials)} cannot answer this: {reason}.")
    return "\n\n".join(answers) or f"This cannot be answered: {none}."


def _name(name: str, trials: pd.DataFrame) -> str:
    """The study with its dataset, seeds and epochs, and how many of its trials have not come to an end."""
    low, high = trials["epochs"].min(), trials["epochs"].max()
    epochs = plural(high, "epoch") if low == high else f"{low:,} to {high:,} epochs"
    parts = [", ".join(sorted(trials["dataset"].unique())), plural(trials["seed"].nunique(), "seed"), epochs]
    left = trials["status"][~trials["status"].isin(["finished", "stopped"])].value_counts().sort_index()
    parts += [f"{num:,} of {len(trials):,} trials {status}" for status, num in left.items()]
    return f"`{name}` ({', '.join(parts)})"


def _name_importances(searches: Mapping[str, Tables]) -> str:
    """Where to see what the batch size was worth to the searches that varied it, and finished enough trials to tell."""
    names = []
    for name, own in searches.items():
        proposed = own.trials[(own.trials["sampler"] != "grid") & (own.trials["phase"] == "search")]
        finished = proposed.loc[proposed["status"] == "finished", "model"].value_counts()
        if proposed["batch_size"].nunique() > 1 and finished.max() >= ENOUGH_TRIALS:
            names.append(name)
    if not names:
        return ""
    studies = " and ".join(f"`{name}`" for name in names)
    return f"How much the batch size mattered in a search is in the figure hyperparameter_importance of {studies}."
