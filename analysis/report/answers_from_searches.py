"""Answers to the open questions from searches whose best configurations were trained again."""

import math

import pandas as pd

from analysis.tables import Tables
from analysis.tables.configurations import short_labels
from analysis.tables.confirmed import compare_best, compute_confirmed
from analysis.tables.objectives import goals
from analysis.tables.searched_settings import prefers_log
from analysis.wording import NATS, plural, setting_label, short_value, with_interval

CHOSEN = ("alpha", "latent_dim", "learning_rate", "batch_size", "epochs")  # what a reader wants of a winner
END = 0.1  # of the way between the ends

NO_SEARCH = "no study here searches, or trains its best configurations again to confirm them"


def is_search(tables: Tables) -> bool:
    """Whether the study looks for one best configuration; where it trades objectives off, there is none."""
    trials = tables.trials
    is_one = (trials["sampler"] != "grid").any() or (trials["phase"] == "confirm").any()
    return bool(is_one) and len(goals(trials)) == 1


def describe_confirmed_learning_rate(tables: Tables) -> str:
    """The learning rate of the confirmed winner, with what it goes with."""
    best = compute_confirmed(tables.trials, tables.history).iloc[0]
    rate, size = short_value(best["learning_rate"]), short_value(best["batch_size"])
    return f"the confirmed winner has learning rate {rate}, with batch size {size} ({_describe(best)})."


def describe_winner(tables: Tables) -> str:
    """The confirmed winner, the runner-up, and whether they differ."""
    confirmed = compute_confirmed(tables.trials, tables.history)
    best, two = confirmed.iloc[0], compare_best(confirmed)
    text = f"the winner, chosen on validation images, is {_describe(best)}, with test ELBO {_test(best)}."
    text += _describe_ends(tables.trials, best)
    if two is None:
        return f"{text} No other configuration was confirmed and could be ranked."
    text += f" Runner-up: {_describe(confirmed.iloc[1])}, with test ELBO {_test(confirmed.iloc[1])}."
    if two.interval is None:
        return f"{text} They have {plural(two.num_seeds, 'seed')} in common, too few to tell whether they differ."
    gain = with_interval(*two.interval)
    return f"{text} Winner less runner-up, paired over {plural(two.num_seeds, 'seed')}: {gain}, so {two.verdict}."


def _describe_ends(trials: pd.DataFrame, best: pd.Series) -> str:
    """Which of the winner's settings lie near an end of what the search tried: better ones may lie beyond."""
    tried = trials[(trials["phase"] == "search") & (trials["model"] == best["model"])]
    ends = []
    for name in CHOSEN:
        levels = tried[name].dropna().astype(float)
        if levels.nunique() < 3:
            continue
        low, high, value = levels.min(), levels.max(), float(best[name])
        if prefers_log(levels):
            low, high, value = math.log(low), math.log(high), math.log(value)
        if not END < (value - low) / (high - low) < 1 - END:
            of_range = f"{short_value(levels.min())} to {short_value(levels.max())}"
            ends.append(
                f"{setting_label(name)} {short_value(best[name])} lies near an end of what was tried, {of_range}"
            )
    return f" Note: {'; '.join(ends)}." if ends else ""


def _describe(row: pd.Series) -> str:
    return short_labels(pd.DataFrame([row]), CHOSEN)[0]


def _test(row: pd.Series) -> str:
    if not row["test_n"]:
        return "not yet measured"
    value = with_interval(row["test_mean"], row["test_low"], row["test_high"])
    return f"{value} {NATS} over {plural(int(row['test_n']), 'seed')}"
