"""What `best` prints: a study's winner, and whether the runner-up differs; or, of several metrics, its front."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_origin

import pandas as pd
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from analysis.tables import load_tables
from analysis.tables.configurations import short_labels
from analysis.tables.confirmed import compare_best, compute_confirmed
from analysis.tables.objectives import goal_label, goals
from analysis.tables.pareto import find_front, finished_values
from analysis.tables.series import NothingToDrawError, varying_settings
from analysis.wording import decimal, plural, with_interval
from harness.errors import InputError
from harness.ledger.trial_folder import TrialFolder
from harness.search.make_source import read_source
from harness.storage.place import Place
from harness.study import Study
from harness.study.yamlfile import format_yaml
from models.setting import SETTING_TYPES, SETTINGS

MAX_ROWS = 5


def summarise_best(study: Study, results: Place) -> RenderableType:
    """Describe the winner with its interval, the runner-up and whether they differ, settings as YAML, checkpoints.

    Of a search with several objectives, which has no single winner, describe the trials of its front.

    Raises:
        InputError: nothing can be chosen, or not yet; the message says what to do.
        TableError: the study was not run.
    """
    if len(study.objectives) > 1:
        return _summarise_front(study, results)
    ranked, is_confirmed = rank_candidates(study, results)
    best = ranked.iloc[0].to_dict()
    num_seeds = plural(int(best["test_n"]), "seed")
    head = f"confirmed over {num_seeds}, on all training images" if is_confirmed else "not confirmed: see `confirm`"
    by_name = {f"seed {seed}": trial_id for seed, trial_id in best["trial_by_seed"].items()}
    notices, checkpoints = _look_at_trials(study, results, by_name)
    return Group(
        *map(Text, notices),
        Text(f"{study.name} on {study.dataset}, {head}. Ranked by {study.metric}, mean over seeds."),
        *_list_ranks(study, ranked.head(MAX_ROWS)),
        Text(_compare(ranked)),
        Text("The winner's settings, ready for a study file:"),
        Text(format_settings(best), style="bold", no_wrap=True, overflow="ignore"),
        *(Text(line, no_wrap=True, overflow="ignore") for line in checkpoints),  # paths are never broken
    )


def rank_candidates(study: Study, results: Place) -> tuple[pd.DataFrame, bool]:
    """Rank the configurations by images held out, as `compute_confirmed` does; also whether they were confirmed.

    Raises:
        InputError: nothing can be chosen, or not yet; the message says what to do.
        TableError: the study was not run.
    """
    if len(study.objectives) > 1:
        raise InputError(f"{study.name}: several metrics have no single best; see its front")
    if study.scheduler.name == "pbt":
        raise InputError(
            f"{study.name}: pbt does not end with one configuration, as settings change during training; "
            f"see the metrics pbt/... of its trials: spikeslab ui --results {results.address}"
        )
    tables = load_tables(results.folder / study.name)
    if not study.metric.startswith("val/"):
        raise InputError(
            f"{study.name}: its trials are compared by {study.metric}, but settings are chosen on images held out; "
            "add confirm: {top: 5} to its file, or num_validation under defaults, and run it again: "
            "its trials are then trained anew, on fewer images"
        )
    trials = tables.trials
    is_confirmed = bool((trials["phase"] == "confirm").any())
    if not is_confirmed:  # the trials of the search stand in for those that confirm
        trials = pd.concat([trials, trials.assign(phase="confirm")], ignore_index=True)
    try:
        return compute_confirmed(trials, tables.history), is_confirmed
    except NothingToDrawError as reason:
        raise InputError(f"{study.name}: {reason}; run the study to its end") from None


def _summarise_front(study: Study, results: Place) -> RenderableType:
    tables = load_tables(results.folder / study.name)
    try:
        reached = finished_values(tables)
    except NothingToDrawError as reason:
        raise InputError(f"{study.name}: {reason}; see spikeslab status {study.name}") from None
    names, directions = zip(*goals(tables.trials), strict=True)
    is_best = find_front(reached[[*names]].where(reached["is_allowed"]), directions)
    front = reached[is_best].sort_values(names[0], ascending=not directions[0], kind="stable")
    labels = short_labels(tables.trials, [*dict.fromkeys(["alpha", *varying_settings(tables.trials)])])
    table = Table(box=None, pad_edge=False)
    table.add_column("trial", no_wrap=True, min_width=16)
    for name, is_maximised in zip(names, directions, strict=True):
        table.add_column(goal_label(name, is_maximised=is_maximised, lines=2), justify="right")
    table.add_column("configuration", overflow="fold")
    columns = [_write_apart(front[name].tolist()) for name in names]
    for trial_id, number, *values in zip(front["trial_id"], front["number"], *columns, strict=True):
        table.add_row(trial_id, *values, labels[number - 1])
    by_name = {f"trial {trial_id}": trial_id for trial_id in front["trial_id"]}
    notices, checkpoints = _look_at_trials(study, results, by_name)
    keeping = "" if reached["is_allowed"].all() else " that keeps to the constraints"
    return Group(
        *map(Text, notices),
        Text(
            f"{study.name} on {study.dataset}. Of {plural(len(reached), 'finished trial')}, {len(front)} "
            f"{'is' if len(front) == 1 else 'are'} on the front: no other{keeping} is as good in every metric and "
            "better in one."
        ),
        table,
        *(Text(line, no_wrap=True, overflow="ignore") for line in checkpoints),
    )


def _write_apart(values: Sequence[float]) -> list[str]:
    """Numbers with two decimals, or as many more as tell different ones apart, and small ones from 0."""
    texts: list[str] = []
    for decimals in range(2, 7):
        texts = [decimal(value, decimals) for value in values]
        if len(set(texts)) == len(set(values)) and all(round(value, decimals) or not value for value in values):
            break
    return texts


def _list_ranks(study: Study, ranked: pd.DataFrame) -> list[Text]:
    lines = []
    places = ["winner", "runner-up", *map(str, range(3, MAX_ROWS + 1))]
    for place, row in zip(places, ranked.to_dict("records"), strict=False):
        chosen, worth = (
            with_interval(*(row[f"{of}_{name}"] for name in ("mean", "low", "high"))) for of in ("validation", "test")
        )
        seeds = plural(int(row["test_n"]), "seed")
        if left_out := int(row["test_left_out"]):
            seeds += f", {plural(left_out, 'seed')} left out, which the search used"
        lines.append(Text(f"{place if row['rank'] > 0 else 'not ranked':>10}  {row['label']}"))
        lines.append(Text(f"{'':>10}  {study.metric} {chosen}, test ELBO {worth} nats per image, {seeds}"))
    return lines


def _compare(ranked: pd.DataFrame) -> str:
    """Describe whether the two best configurations differ, if that can be said."""
    two = compare_best(ranked)
    if two is None:
        return "There is no other configuration that could be ranked."
    if two.interval is None:
        return f"They have {plural(two.num_seeds, 'seed')} in common: too few to say whether they differ."
    gain = with_interval(*two.interval)
    return f"Test ELBO of the winner less the runner-up's, with 95% interval, paired by seed: {gain}: {two.verdict}."


def format_settings(best: Mapping[Any, Any]) -> str:
    """Format the best configuration as the sub-space of a study."""
    settings = {name: _restore(name, best[name]) for name in SETTINGS if name in best and not pd.isna(best[name])}
    return format_yaml({"space": [settings]}).rstrip()


def _restore(name: str, value: Any) -> Any:
    """A setting's value as a study has it: tables hold lists as JSON, and whole numbers beside gaps as floats."""
    kind = SETTING_TYPES[name]
    if get_origin(kind) is tuple:
        return json.loads(value)
    return int(value) if int in (kind, *get_args(kind)) else value


def _look_at_trials(study: Study, results: Place, trial_by_name: Mapping[str, str]) -> tuple[Sequence[str], list[str]]:
    """What the study's file as it is now does not count, and where the checkpoints of these trials are."""
    folder = results.folder / study.name
    if not (folder / "trials").exists():
        return [], ["Checkpoints: none here, as tables alone were published."]
    try:
        source = read_source(study, folder, as_recorded=True)
    except InputError as problem:  # the tables have the answer all the same
        return [], [f"Checkpoints: not known: {problem}"]
    by_id = {trial.trial_id: trial for trial in source.trials}
    lines = []
    for name, trial_id in trial_by_name.items():
        if trial_id not in by_id:
            where = "not known, as the study's file asks for other trials now"
        else:
            trial_folder = TrialFolder(folder, by_id[trial_id], results)
            trial_folder.fetch()
            stored = trial_folder.list_own_states()
            where = str(stored[0]) if stored else "gone; run the study again"
        lines.append(f"Checkpoint, {name}: {where}")
    return source.notices, lines
