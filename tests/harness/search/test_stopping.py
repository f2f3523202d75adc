"""Searches that end by hours, by epochs, or when no gain is expected."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.datasets import load_dataset
from harness.ledger.result import Result, Row
from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder
from harness.search.expected_gain import Observed, expect_gain
from harness.search.source import make_trial
from harness.search.space import SearchSpace
from harness.search.stopping import Stopping, measure_union
from harness.study import Study
from harness.study.sections import Stop
from tests.harness.search.searching import ONE_SPACE, STUDIES, Searching, ids
from tests.harness.small_studies import edit, load

SPAN = st.tuples(st.floats(0, 100), st.floats(0, 100)).map(lambda pair: (min(pair), max(pair)))


class Timed(Searching):
    """Each trial takes half an hour, one after another."""

    clock = 1e9

    def end(self, trial: Trial, *_: object, **__: object) -> Result:
        history = [{"epoch": e, "seconds": 900.0, self.study.metric: score(trial) + e - 2} for e in (1, 2)]
        began, self.clock = self.clock, self.clock + 1800
        result = Result(
            status="finished",
            history=history,  # type: ignore[arg-type]
            evaluated=self.study.measures.evaluated,
            began=began - 9 * 3600,  # last night: it was interrupted, and resumed this morning
            ended=self.clock,
            spent=1800,
        )
        TrialFolder(self.folder, trial).write_result(result)
        return result


def score(trial: Trial) -> float:
    """Best, 0, at beta 1.3, whatever else there is."""
    return -((trial.settings.beta - 1.3) ** 2)


def search(folder: Path, stop: str, num_trials: int = 40) -> Timed:
    text = ONE_SPACE + f"search: {{sampler: tpe, num_trials: {num_trials}, stop: {stop}}}\n"
    return Timed(folder, load_dataset("digits"), text)


@pytest.mark.parametrize(
    ("stop", "why"),
    [
        ("{hours: 3}", "its trials ran for 3 hours (search.stop.hours: 3)"),
        ("{epochs: 11}", "its trials have trained 12 epochs (search.stop.epochs: 11)"),
        ("{hours: 99, epochs: 12, gain: 1.0e-9}", "its trials have trained 12 epochs (search.stop.epochs: 12)"),
    ],
)
def test_a_search_ends_by_hours_and_by_epochs_and_goes_on_with_more(tmp_path: Path, stop: str, why: str) -> None:
    searching = search(tmp_path, stop)
    source = searching.source()
    first = searching.run(source)
    assert len(first) == source.num_trials == 6
    notice = f"The search ends after 6 of 40 trials: {why}."
    assert source.notices == [notice]
    for read_only in (True, False):
        again = searching.source(read_only=read_only)
        assert (ids(again.trials), again.num_trials, again.notices) == (ids(first), 6, [notice])
    assert again.next() is None
    more = search(tmp_path, "{hours: 5}")
    more.clock = searching.clock
    rest = more.run()
    assert len(rest) == 4
    assert ids(more.source().trials) == ids([*first, *rest])


def test_trials_that_run_are_counted_while_they_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, wall = 5.0, 1e9
    monkeypatch.setattr("time.monotonic", lambda: now)
    monkeypatch.setattr("time.time", lambda: wall)
    source = search(tmp_path, "{hours: 1}").source()
    assert source.next() is not None
    assert source.next() is not None  # at the same time: they are one hour together
    now += 3599
    wall += 9 * 3600  # somebody has set the clock
    assert source.next() is not None
    now += 2
    assert source.next() is None
    assert not source.is_waiting


def test_what_an_earlier_search_trained_costs_nothing(tmp_path: Path) -> None:
    search(tmp_path, "{}", 6).run()
    wider = search(tmp_path, "{epochs: 4}")
    text = edit("uniform: [0.5, 2]", "uniform: [0.1, 4]", (tmp_path / "study.yaml").read_text())
    assert len(Timed(tmp_path, wider.dataset, text).run()) == 2


def test_a_search_ends_when_no_gain_is_expected_and_near_the_best(tmp_path: Path) -> None:
    searching = search(tmp_path, "{gain: 0.01}", 60)
    source = searching.source()
    ran = searching.run(source)
    assert 19 <= len(ran) < 60
    assert "is expected to gain" in source.notices[0]
    assert max(map(score, ran)) > -0.01


@pytest.fixture
def gains(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of how many trials a gain was computed, each time; it is 9 of up to 14, and else none."""
    asked: list[int] = []

    def expect(_: object, known: Sequence[Observed], *, seed: int) -> float:
        asked.append(len(known))
        return 9.0 if len(known) <= 14 else 0.0

    monkeypatch.setattr("harness.search.stopping.expect_gain", expect)
    monkeypatch.setattr("harness.search.stopping.count_needed", lambda _: 10)
    return asked


def test_a_gain_is_computed_once_of_the_same_results(tmp_path: Path, gains: list[int]) -> None:
    searching = search(tmp_path, "{gain: 0.01}", 60)
    source = searching.source()
    searching.run(source, at_most=12)
    gains.clear()
    assert None not in [source.next() for _ in range(10)]
    assert gains == [12]
    source.tell(source.trials[12], searching.end(source.trials[12]))
    assert source.next() is not None
    assert gains == [12, 13]


def test_a_search_that_awaits_a_trial_asks_for_no_gain_and_ends_by_all_that_it_learns_from(
    tmp_path: Path, gains: list[int]
) -> None:
    searching = search(tmp_path, "{gain: 0.01}, at_once: 2", 60)
    source = searching.source()
    searching.run(source, at_most=14)
    first, second = source.next(), source.next()
    assert first is not None
    assert second is not None
    gains.clear()
    source.tell(second, searching.end(second))
    for _ in range(10):
        assert source.next() is None
    assert (gains, source.is_waiting) == ([], True)
    again = searching.source()
    assert (gains, again.num_trials) == ([], 60), "nor does one that goes on after a kill"
    source.tell(first, searching.end(first))
    assert source.next() is None
    assert (gains, source.is_waiting, source.num_trials) == ([15], False, 16)


def test_trials_that_were_trained_before_end_a_search_where_they_did(tmp_path: Path) -> None:
    searching = search(tmp_path, "{epochs: 4}, at_once: 1")
    ran = searching.run()
    assert len(ran) == 2
    (tmp_path / "results" / "optuna.db").unlink()  # the same trials are proposed
    source = searching.source()
    assert (source.next(), ids(source.trials)) == (None, ids(ran))


def observe(trial: Trial, value: float) -> Observed:
    names = ("hidden", "epochs", "model", "latent_dim", "alpha", "beta")
    return Observed(0, {name: getattr(trial.settings, name) for name in names}, value, is_allowed=True)


def test_a_trial_is_placed_in_the_sub_space_that_holds_all_of_its_settings(tmp_path: Path) -> None:
    """The first names no beta, and holds it at its default."""
    more = "  - {model: vsc, latent_dim: 4, alpha: 0.1, beta: {uniform: [1.5, 2]}}\n"
    text = edit("    beta: {uniform: [0.5, 2]}\n", more, edit("int: [2, 9]", "int: [4, 5]", ONE_SPACE))
    study = load(tmp_path, text + "search: {sampler: tpe, num_trials: 9}\n")
    space = SearchSpace(study, load_dataset("digits"))
    for index, configuration in enumerate(({"alpha": 0.1}, {"alpha": 0.1, "beta": 1.7})):
        given = {"model": "vsc", "latent_dim": 4, "hidden": [8], "epochs": 2} | configuration
        place = space.locate(space.make_trial(given))
        assert place is not None
        assert (place[0], place[1].get("beta")) == (index, configuration.get("beta"))


def search_half(folder: Path, options: str = "") -> tuple[Study, list[Trial]]:
    """A search of beta alone, and trials along one half of its interval."""
    text = edit("{int: [2, 9]}", "4", edit("{loguniform: [0.01, 0.3]}", "0.1", ONE_SPACE))
    study: Study = load(folder, text + f"search: {{sampler: tpe, num_trials: 9{options}}}\n")
    trials = [
        make_trial(
            study,
            load_dataset("digits"),
            {"model": "vsc", "latent_dim": 4, "alpha": 0.1, "beta": beta, "hidden": [8], "epochs": 2},
            0,
        )
        for beta in np.linspace(0.5, 1.25, 15)
    ]
    return study, trials


def test_a_large_gain_is_expected_of_what_was_never_tried(tmp_path: Path) -> None:
    """The process is fitted to one half of an interval, along which the metric rises."""
    study, trials = search_half(tmp_path)
    rising = [observe(trial, 10 * trial.settings.beta) for trial in trials]
    falling = [observe(trial, -10 * trial.settings.beta) for trial in trials]
    assert expect_gain(study.sub_spaces(), rising, seed=0) > 1  # 7.5 more at the other end
    assert expect_gain(study.sub_spaces(), falling, seed=0) < 0.2
    flat = [observe(trial, 3.0) for trial in trials]
    assert expect_gain(study.sub_spaces(), flat, seed=0) == 0
    worse = [one._replace(is_allowed=index >= 8) for index, one in enumerate(falling)]
    assert expect_gain(study.sub_spaces(), worse, seed=0) > 3  # a gain over -9.3, the best that is allowed


@pytest.mark.parametrize(
    ("options", "best"),
    [
        ("metric: val/elbo", 12.5),
        ("metric: val/rate, mode: min", -5.0),
        ('metric: val/elbo, constraints: ["val/rate <= 9"]', pytest.approx(9.0, abs=0.5)),
    ],
)
def test_gains_are_over_the_most_or_the_least_that_keeps_to_the_constraints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str, best: float
) -> None:
    """The process is left out: what it would take for the best stands in place of the gain."""

    def find_best(_: object, known: Sequence[Observed], *, seed: int) -> float:
        return max(one.value for one in known if one.is_allowed)

    monkeypatch.setattr("harness.search.stopping.expect_gain", find_best)
    study, trials = search_half(tmp_path, f", {options}")
    ended = []
    for trial in trials:  # both rise with beta, from 5 to 12.5
        row: Row = {"epoch": 2, **dict.fromkeys(("val/elbo", "val/rate"), 10 * trial.settings.beta)}
        ended.append((trial, Result(status="finished", history=[row])))
    assert Stopping(Stop(), study, SearchSpace(study, load_dataset("digits")))._expect_gain(ended) == best


def test_lists_choices_and_several_sub_spaces_are_points_too(tmp_path: Path) -> None:
    searching = Searching(tmp_path, load_dataset("digits"), STUDIES["tpe"].replace("6}", "40, stop: {gain: 0.5}}"))
    source = searching.source()
    ran = searching.run(source)
    assert 28 <= len(ran) <= 40


@given(st.lists(SPAN, max_size=8))
def test_a_union_is_at_least_its_longest_span_and_at_most_the_sum(spans: list[tuple[float, float]]) -> None:
    union = measure_union(spans)
    lengths = [end - begin for begin, end in spans]
    assert max(lengths, default=0.0) - 1e-9 <= union <= sum(lengths) + 1e-9
    assert union == pytest.approx(measure_union([*spans, *spans]))


@given(st.lists(SPAN, max_size=8), SPAN)
def test_a_union_never_shrinks(spans: list[tuple[float, float]], more: tuple[float, float]) -> None:
    assert measure_union([*spans, more]) >= measure_union(spans) - 1e-9
