"""The best configurations of a search, trained again over seeds: their means, and whether the best two differ."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.metrics import metric_label, metric_of
from analysis.tables.configurations import number_configurations, short_labels
from analysis.tables.intervals import mean_interval, paired_difference
from analysis.tables.objectives import final_values, goals, is_allowed
from analysis.tables.series import NothingToDrawError, varying_settings
from analysis.tables.significance import MIN_SEEDS
from analysis.tables.tables import settings_of

MARGIN = 1.0  # nats per image: what is nearer is called equivalent
UNDECIDED = "it is undecided whether they differ"


@dataclass(frozen=True)
class Comparison:
    """How much better the winner is than the runner-up on test images.

    interval: mean, low and high end (95%, Student t) of the winner's test ELBO less the runner-up's, paired by seed, in
    nats per image; None where they have fewer than two seeds in common, ends NaN where all have one difference.
    """

    num_seeds: int
    interval: tuple[float, float, float] | None

    @property
    def verdict(self) -> str:
        """What the interval says, in words: that it spans 0 is no sign that they are equal. Two seeds say nothing."""
        assert self.interval is not None
        if self.num_seeds < MIN_SEEDS:
            return UNDECIDED
        _, low, high = self.interval
        is_small = low > -MARGIN and high < MARGIN
        if low > 0 or high < 0:
            return f"they differ{f', by less than {MARGIN:g} nat' if is_small else ''}"
        return f"they differ by less than {MARGIN:g} nat, if at all" if is_small else UNDECIDED


def compute_confirmed(trials: pd.DataFrame, history: pd.DataFrame) -> pd.DataFrame:
    """One row per configuration of phase "confirm" (all settings but seed and num_validation), the winner first.

    Takes all phases of one study. Each setting has its column; besides:

    - rank: from 1, by validation_mean; NaN where there is none, or where it diverged or failed with some seed, or the
      search's scheduler stopped it with one: a mean over the others would be a lucky one; or where it broke a
      constraint in the search with some seed.
    - label: the model, its alpha and the settings in which the configurations differ; if there is only one, those in
      which the trials of the study differ.
    - objective, is_maximised: the first objective of the study, and its direction.
    - validation_mean, validation_low, validation_high, validation_n, validation_by_seed: mean, 95% interval, number
      and single values {seed: value} of what finished trials reached in the objective, with the same settings and
      images held out.
    - test_mean, test_low, test_high, test_n, test_by_seed: the same of the test ELBO (nats per image) of the
      finished trials of phase "confirm"; trial_by_seed: {seed: trial_id} of these, whose checkpoints hold the models.
    - test_left_out: how many trials of phase "confirm" are in none of these, as `find_lucky` says.

    Raises:
        NothingToDrawError: nothing was confirmed, no trial that confirms has finished, or none can be ranked.
    """
    if not (trials["phase"] == "confirm").any():
        raise NothingToDrawError("no configuration was trained again to confirm it")
    if "test/elbo" not in trials:
        raise NothingToDrawError("no trial has a test ELBO, which elbo among what it evaluates gives")
    objective, is_maximised = goals(trials)[0]
    rows = trials.reset_index(drop=True)
    rows["configuration"] = number_configurations(rows, apart_from=["num_validation"])
    rows["reached"] = final_values(trials, history)[objective]
    confirming = rows[rows["phase"] == "confirm"]
    searched = rows.loc[rows["phase"] == "search", ["configuration", "seed"]]
    frame = confirming.drop_duplicates("configuration")[["configuration", *settings_of(trials)]]
    is_stopped = (rows["status"] == "stopped") & (rows["phase"] == "search")
    is_lost = rows["status"].isin(["diverged", "failed"]) | is_stopped | ~is_allowed(rows)
    unreliable = set(rows.loc[is_lost, "configuration"])
    rows = rows[(rows["status"] == "finished") & rows["configuration"].isin(frame["configuration"])]
    tested = rows[rows["phase"] == "confirm"].dropna(subset=["test/elbo"])
    if tested.empty:
        raise NothingToDrawError("no trial that confirms a configuration has finished")
    chosen_by = rows[(rows["phase"] != "confirm") & (rows["num_validation"] > 0)].dropna(subset=["reached"])
    if chosen_by.empty:
        raise NothingToDrawError(f"no confirmed configuration has a {metric_label(objective)} to be ranked by")
    is_lucky = find_lucky(tested, searched)
    frame["test_left_out"] = frame["configuration"].map(is_lucky.groupby(tested["configuration"]).sum()).fillna(0)
    tested, chosen_by = tested[~is_lucky], chosen_by[~find_lucky(chosen_by, searched)]
    differing = varying_settings(frame if len(frame) > 1 else trials, apart_from=["alpha", "num_validation"])
    frame["label"] = short_labels(frame, ["alpha", *(name for name in differing if name != "configuration")])
    for name, source, value, metric in (
        ("validation", chosen_by, "reached", objective),
        ("test", tested, "test/elbo", "test/elbo"),
    ):
        means = _over_seeds(source, value, name, metric)
        frame = frame.merge(means, on="configuration", how="left").fillna({f"{name}_n": 0})
        frame[f"{name}_by_seed"] = frame["configuration"].map(_by_seed(source, value, frame["configuration"]))
    frame["trial_by_seed"] = frame["configuration"].map(_by_seed(tested, "trial_id", frame["configuration"]))
    candidates = frame["validation_mean"].mask(frame["configuration"].isin(unreliable))
    if candidates.isna().all():
        raise NothingToDrawError(
            "every configuration that was to be confirmed diverged or failed with some seed, was stopped early with "
            "one (a scheduler stops some seeds and not others: search with one, and confirm over several), or broke a "
            "constraint"
        )
    frame["rank"] = candidates.rank(ascending=not is_maximised, method="first")
    frame = frame.assign(objective=objective, is_maximised=is_maximised)
    return frame.drop(columns=["configuration", "num_validation"]).sort_values("rank", ignore_index=True)


def compare_best(confirmed: pd.DataFrame) -> Comparison | None:
    """Compare the two best by rank on test images; None if only one has a rank.

    confirmed: the frame of `compute_confirmed`.
    """
    ranked = confirmed[confirmed["rank"].notna()]
    if len(ranked) < 2:
        return None
    best, second = ranked.iloc[0], ranked.iloc[1]
    found = paired_difference(best["test_by_seed"], second["test_by_seed"])
    return Comparison(found.num_seeds, (found.mean, found.low, found.high) if found.num_seeds > 1 else None)


def find_lucky(rows: pd.DataFrame, searched: pd.DataFrame) -> pd.Series:
    """Whether a trial has a seed by which the search picked its configuration, where others have another.

    Such a seed was lucky, and is left out of means. (A study that searched, but confirmed nothing else, has no others.)
    rows: with columns configuration and seed; searched: these two alone, of the search.
    """
    known = set(searched.itertuples(index=False, name=None))
    pairs = rows[["configuration", "seed"]].itertuples(index=False, name=None)
    is_known = pd.Series([pair in known for pair in pairs], index=rows.index, dtype=bool)
    return is_known & ~is_known.groupby(rows["configuration"]).transform("all")


def _over_seeds(rows: pd.DataFrame, value: str, name: str, metric: str) -> pd.DataFrame:
    means = mean_interval(rows, value, by=["configuration"], limits=metric_of(metric).limits)
    return means.rename(columns={column: f"{name}_{column}" for column in ("mean", "low", "high", "n")})


def _by_seed(rows: pd.DataFrame, value: str, configurations: pd.Series) -> dict[int, dict[int, Any]]:
    """For each configuration the values by seed."""
    found: dict[int, dict[int, Any]] = {number: {} for number in configurations}
    for row in rows.sort_values("seed")[["configuration", "seed", value]].to_dict("records"):
        found[row["configuration"]][int(row["seed"])] = row[value]
    return found
