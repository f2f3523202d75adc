"""A search that says how many trials may run at once proposes the same ones, however many do."""

import random
from pathlib import Path

import pytest

from harness.datasets import load_dataset
from harness.ledger.result import Result, Status
from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder
from harness.search.samplers import OF_GENERATIONS
from harness.search.source import Source
from tests.harness.search.searching import ONE_SPACE, Searching, ids

NUM_TRIALS = 16
TEXTS = {
    sampler: ONE_SPACE + f"search: {{sampler: {sampler}, num_trials: {NUM_TRIALS}, at_once: AT_ONCE{more}}}\n"
    for sampler, more in {
        "tpe": ", constraints: [val/rate <= 4]",
        "gp": "",
        "cmaes": "",
        "nsga2": ", metric: [val/elbo, val/rate]",
    }.items()
}


class Scored(Searching):
    """Each trial ends with values that two of its settings decide."""

    def end(self, trial: Trial, status: Status = "finished", **_: object) -> Result:
        s = trial.settings
        values = {"val/elbo": -abs(s.latent_dim - 5.0) - abs(s.beta - 1.3), "val/rate": s.latent_dim * s.beta / 3}
        history = [{"epoch": 1, "seconds": 0.1} | values]
        result = Result(status=status, history=history, evaluated=self.study.measures.evaluated)  # type: ignore[arg-type]
        TrialFolder(self.folder, trial).write_result(result)
        return result


def search(folder: Path, sampler: str, at_once: int | str) -> Searching:
    return Scored(folder, load_dataset("digits"), TEXTS[sampler].replace("AT_ONCE", str(at_once)))


def run(searching: Searching, slots: int, order: int, *, kill_after: int | None = None) -> list[str]:
    """Run trials, several at once, that end in an order of chance; returns what was proposed, in its order.

    kill_after: the run is killed once so many trials have ended, and the next goes on with those that it left.
    """
    rng, num_ended = random.Random(order), 0
    running: list[Trial] = []
    source: Source = searching.source()
    while True:
        while len(running) < slots and (trial := source.next()) is not None:
            running.append(trial)
        if not running:
            break
        trial = running.pop(rng.randrange(len(running)))
        source.tell(trial, searching.end(trial))
        num_ended += 1
        if num_ended == kill_after:
            source, running = searching.source(), []
    assert not source.is_waiting
    return ids(source.trials)


@pytest.mark.parametrize("sampler", ["tpe", pytest.param("gp", marks=pytest.mark.slow), "cmaes", "nsga2"])
def test_the_proposals_are_the_same_with_one_two_and_four_at_once(tmp_path: Path, sampler: str) -> None:
    one, two, four, killed = (
        run(search(tmp_path / name, sampler, 4), slots, order, kill_after=kill_after)
        for name, slots, order, kill_after in (("1", 1, 0, None), ("2", 2, 1, None), ("4", 4, 2, None), ("k", 3, 3, 7))
    )
    assert len(set(one)) == NUM_TRIALS
    assert one == two == four == killed
    *_, last = search(tmp_path / "1", sampler, 4).optuna_trials()
    generations = [value for name, value in last.system_attrs.items() if name.endswith(":generation")]
    assert [generation > 0 for generation in generations] == [True] * (sampler in OF_GENERATIONS)


def test_trials_that_diverge_change_no_proposal_by_when_they_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(self: Scored, trial: Trial) -> Result:
        return finish(self, trial, "diverged" if trial.settings.latent_dim > 5 else "finished")

    finish = Scored.end
    monkeypatch.setattr(Scored, "end", end)
    one, three, killed = (
        run(search(tmp_path / str(order), "tpe", 3), slots, order, kill_after=kill_after)
        for slots, order, kill_after in ((1, 0, None), (3, 1, None), (3, 2, 7))
    )
    assert one == three == killed


def test_a_search_ends_by_epochs_at_the_same_trial_however_many_run_at_once(tmp_path: Path) -> None:
    """Each trains one: the third trial's epoch counts once a proposal learns from it, which the fifth would do."""
    for slots, order in ((1, 0), (2, 0), (2, 1)):
        assert len(run(search(tmp_path / f"{slots}-{order}", "tpe", "2, stop: {epochs: 3}"), slots, order)) == 4


def test_what_may_run_at_once_is_waited_for(tmp_path: Path) -> None:
    source = search(tmp_path, "tpe", 2).source()
    first, second = source.next(), source.next()
    assert first is not None
    assert second is not None
    assert (source.next(), source.is_waiting) == (None, True)
    searching = search(tmp_path, "tpe", 2)
    source.tell(second, searching.end(second))
    assert (source.next(), source.is_waiting) == (None, True)  # the third learns from the first
    source.tell(first, searching.end(first))
    assert source.next() is not None


def test_each_proposal_learns_from_all_but_the_last(tmp_path: Path) -> None:
    """With one at once a trial learns from all before it, and with three not from the last two."""
    proposals = {at_once: run(search(tmp_path / str(at_once), "tpe", at_once), 1, 0) for at_once in (1, 3)}
    assert proposals[1] != proposals[3]
    assert len(set(proposals[3])) == NUM_TRIALS


def test_a_trial_that_failed_is_not_waited_for(tmp_path: Path) -> None:
    searching = search(tmp_path, "tpe", 1)
    source = searching.source()
    first = source.next()
    assert first is not None
    source.tell(first, searching.end(first, "failed"))
    second = source.next()
    assert second is not None
    assert second.trial_id != first.trial_id
