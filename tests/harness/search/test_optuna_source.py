"""Trials that Optuna's samplers propose from what others came to."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from harness.datasets import Dataset
from harness.errors import InputError
from harness.ledger.result import Result, Status
from harness.search import optuna_source
from harness.search.source import make_trial
from harness.study import Study
from tests.harness.search.searching import STUDIES, Searching, digest, ids
from tests.harness.small_studies import GOOD, LATENTS, SEEDS, TPE, edit, load


@pytest.fixture
def tpe(tmp_path: Path, dataset: Dataset) -> Searching:
    return Searching(tmp_path, dataset, STUDIES["tpe"])


def with_text(tpe: Searching, change: Callable[[str], str]) -> Searching:
    """The same study, after its file was changed."""
    return Searching(tpe.folder.parent, tpe.dataset, change(STUDIES["tpe"]))


@pytest.mark.parametrize("kind", ["tpe", "nsga2"])
def test_a_history_names_the_metrics_of_its_values(tmp_path: Path, dataset: Dataset, kind: str) -> None:
    search = Searching(tmp_path, dataset, STUDIES[kind])
    search.source()
    assert search.history().metric_names == list(search.study.objectives)


def test_each_trial_is_told_once_with_its_last_value(tpe: Searching) -> None:
    source = tpe.source()
    ran = tpe.run(source)
    for trial in ran:
        source.tell(trial, tpe.end(trial, value=99.0))  # once is enough
    stored = tpe.optuna_trials()
    assert [t.state for t in stored] == [TrialState.COMPLETE] * 6
    assert [t.value for t in stored] == [-abs(t.settings.latent_dim - 5.0) for t in ran]
    assert [t.user_attrs["trial_id"] for t in stored] == ids(ran)


def test_a_trial_that_still_runs_is_not_told(tpe: Searching) -> None:
    source = tpe.source()
    trial = source.next()
    assert trial is not None
    source.tell(trial, Result(status="running"))
    assert [t.state for t in tpe.optuna_trials()] == [TrialState.RUNNING]
    source.tell(trial, tpe.end(trial))
    assert [t.state for t in tpe.optuna_trials()] == [TrialState.COMPLETE]


@pytest.mark.parametrize(
    ("status", "state"),
    [("failed", TrialState.RUNNING), ("diverged", TrialState.FAIL)],  # one that failed is tried again, and told then
)
def test_a_trial_without_a_value_teaches_the_sampler_nothing(tpe: Searching, status: Status, state: TrialState) -> None:
    tpe.run(at_most=1, status=status)
    assert [(t.state, t.value) for t in tpe.optuna_trials()] == [(state, None)]


@pytest.mark.parametrize(
    ("kind", "state"),
    [("tpe", TrialState.COMPLETE), ("nsga2", TrialState.COMPLETE), ("tpe-asha", TrialState.PRUNED)],
)
def test_a_trial_that_diverged_counts_as_the_worst_so_far(
    tmp_path: Path, dataset: Dataset, kind: str, state: TrialState
) -> None:
    """In each metric; what was pruned before its first epoch is worse for TPE than all others."""
    searching = Searching(tmp_path, dataset, STUDIES[kind])
    source = searching.source()
    for value, status in ((-3.0, "finished"), (-7.0, "finished"), (99.0, "diverged"), (-8.0, "finished")):
        trial = source.next()
        assert trial is not None
        source.tell(trial, searching.end(trial, status, value))  # type: ignore[arg-type]
    (diverged,) = (t for t in searching.optuna_trials() if t.user_attrs.get("status") == "diverged")
    assert diverged.state == state
    assert diverged.values == [-7.0, -3.0][: len(diverged.values)]  # val/elbo, and val/rate, of which less is better
    assert diverged.intermediate_values == ({0: -7.0} if state == TrialState.PRUNED else {})


def test_trials_that_diverged_are_told_last_at_the_next_start(tpe: Searching) -> None:
    source = tpe.source()
    first, second = source.next(), source.next()
    assert first is not None
    assert second is not None
    tpe.end(first, "diverged")
    tpe.end(second, value=-7.0)
    tpe.source()
    assert [t.value for t in tpe.optuna_trials()] == [-7.0, -7.0]


def test_a_trial_stopped_early_is_pruned_with_what_it_reached(tmp_path: Path, dataset: Dataset) -> None:
    searching = Searching(tmp_path, dataset, STUDIES["tpe-asha"])
    (trial,) = searching.run(at_most=1, status="stopped")
    (stored,) = searching.optuna_trials()
    assert stored.state == TrialState.PRUNED
    assert stored.intermediate_values == {2: -abs(trial.settings.latent_dim - 5.0)}
    assert searching.source().next() != trial  # nor is it queued again


def test_what_ended_but_could_not_be_told_is_told_at_the_next_start(tpe: Searching) -> None:
    source = tpe.source()
    trial = source.next()
    assert trial is not None
    tpe.end(trial, value=-7.0)  # its process ends; the driver was killed before it heard of it
    del source
    assert [t.state for t in tpe.optuna_trials()] == [TrialState.RUNNING]
    tpe.source()
    (stored,) = tpe.optuna_trials()
    assert (stored.state, stored.value) == (TrialState.COMPLETE, -7.0)


def test_a_proposal_that_was_never_known_is_given_up(tpe: Searching) -> None:
    tpe.run(at_most=1)
    storage = f"sqlite:///{tpe.folder / 'optuna.db'}"
    (name,) = optuna.get_all_study_names(storage)
    optuna.load_study(study_name=name, storage=storage).ask()  # killed between asking and knowing
    assert len(tpe.run()) == 5
    assert [t.state for t in tpe.optuna_trials()].count(TrialState.FAIL) == 1
    assert TrialState.RUNNING not in [t.state for t in tpe.optuna_trials()]


def test_a_resumed_run_does_not_repeat_its_first_proposals(tpe: Searching) -> None:
    stretched = with_text(tpe, lambda text: text.replace("num_trials: 6", "num_trials: 12"))
    proposals = [t.settings.learning_rate for _ in range(4) for t in stretched.run(at_most=3)]
    assert len(set(proposals)) == 12
    assert [t.state for t in stretched.optuna_trials()] == [TrialState.COMPLETE] * 12


def test_a_larger_number_of_trials_keeps_the_old_ones(tpe: Searching) -> None:
    first = tpe.run()
    longer = with_text(tpe, lambda text: text.replace("num_trials: 6", "num_trials: 9"))
    source = longer.source()
    rest = longer.run(source)
    assert len(rest) == 3
    assert ids(source.trials) == ids(first) + ids(rest)
    assert with_text(tpe, lambda text: text.replace("num_trials: 6", "num_trials: 4")).source().next() is None


@pytest.mark.parametrize(
    ("old", "new"),
    [("choice: [32, 64]", "choice: [8, 16]"), ("epochs: 2", "epochs: 3"), ("seeds: [0]", "seeds: [1]")],
)
def test_another_space_begins_a_new_history(tpe: Searching, old: str, new: str) -> None:
    tpe.run(at_most=2)
    changed = with_text(tpe, lambda text: edit(old, new, text))
    before = digest(tpe.folder)
    assert changed.source(read_only=True).trials == []
    assert digest(tpe.folder) == before  # looking begins nothing
    assert changed.source().trials == []
    assert len(tpe.source().trials) == 2  # and the old one is still there


def test_another_evaluation_keeps_the_same_history(tpe: Searching) -> None:
    ran = tpe.run()
    changed = with_text(tpe, lambda text: text + "evaluate: [elbo, iw_bound]\niw_samples: 7\ncheckpoint_every: 3\n")
    assert ids(changed.source().trials) == ids(ran)


def test_trials_that_were_trained_for_an_older_file_are_not_trained_again(tpe: Searching) -> None:
    ran = tpe.run()
    (tpe.folder / "optuna.db").unlink()  # the same seed proposes the same first trial
    source = tpe.source()
    rest = tpe.run(source)
    assert ran[0].trial_id in ids(source.trials)
    assert ran[0].trial_id not in ids(rest)
    assert len(source.trials) == 6


TINY = edit(LATENTS, "{grid: [2, 3]}", edit(SEEDS, TPE))


@pytest.mark.parametrize("values", ["{grid: [2, 3, 4]}", "{int: [2, 4]}"])
def test_a_space_with_fewer_points_than_trials_ends_when_it_is_used_up(
    tmp_path: Path, dataset: Dataset, values: str
) -> None:
    searching = Searching(tmp_path, dataset, TINY.replace("{grid: [2, 3, 4]}", values))
    ran = searching.run()
    assert len(ran) == len(set(ids(ran))) == 3
    again = searching.source()
    assert (ids(again.trials), again.num_trials) == (ids(ran), 3)
    before = len(searching.optuna_trials())
    assert again.next() is None
    assert len(searching.optuna_trials()) == before < 50  # nothing was asked for in vain
    assert TrialState.RUNNING not in [t.state for t in searching.optuna_trials()]


def test_a_proposal_where_the_sampler_is_stuck_is_drawn_by_the_searchs_seed_and_the_next_is_its_own_again(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optuna_source, "STUCK_REPEATS", 0)
    seeds: list[int] = []

    class Spy(optuna.samplers.RandomSampler):
        def __init__(self, seed: int) -> None:
            seeds.append(seed)
            super().__init__(seed)

    monkeypatch.setattr("optuna.samplers.RandomSampler", Spy)
    for seed in (0, 1):
        searching = Searching(tmp_path / str(seed), dataset, TINY.replace("tpe,", f"tpe, seed: {seed},"))
        source = searching.source()
        assert isinstance(source, optuna_source.OptunaSource)
        assert len(searching.run(source)) == 3
        assert isinstance(source._optuna.sampler, optuna.samplers.TPESampler)
    assert len(set(seeds)) == 6


def test_what_is_drawn_where_the_sampler_is_stuck_is_the_same_after_a_kill(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optuna_source, "STUCK_REPEATS", 0)
    whole, killed = (
        Searching(tmp_path / name, dataset, STUDIES["tpe"].replace("6}", "3, at_once: 2}")) for name in ("a", "b")
    )
    killed.run(at_most=1)
    killed.run()
    assert ids(killed.source().trials) == ids(whole.run())


def test_proposals_whose_settings_do_not_go_together_are_passed_over(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def search(folder: Path, low: int, high: int) -> Searching:
        several = f"images_per_epoch: {{int: [{low}, {high}]}}\n  batch_size: {{choice: [16, 128]}}"
        return Searching(folder, dataset, edit("epochs: 2", f"epochs: 2\n  {several}", edit(SEEDS, TPE)))

    ran = search(tmp_path / "some", 64, 140).run()
    assert len(ran) == 6
    assert all(trial.settings.images_per_epoch >= trial.settings.batch_size for trial in ran)
    monkeypatch.setattr(optuna_source, "MAX_REPEATS", 3)
    with pytest.raises(InputError, match="images_per_epoch"):
        search(tmp_path / "none", 2, 15).run()


def test_only_a_vsc_is_given_an_alpha(tpe: Searching) -> None:
    ran = with_text(tpe, lambda text: text.replace("num_trials: 6", "num_trials: 12")).run()
    for trial, stored in zip(ran, tpe.optuna_trials(), strict=True):
        assert ("alpha" in stored.params) == (trial.settings.model == "vsc")
        assert stored.params.get("alpha") == trial.settings.alpha
    assert {t.settings.model for t in ran} == {"vae", "vsc"}


def test_sub_spaces_share_a_parameter_where_they_give_it_the_same_domain(tpe: Searching) -> None:
    tpe.run()
    names = {name for stored in tpe.optuna_trials() for name in stored.params}
    assert {"space", "learning_rate", "batch_size", "alpha"} <= names
    shared = with_text(tpe, lambda text: edit("latent_dim: 2\n", "latent_dim: {int: [3, 9]}\n", text))
    shared.run()
    names = {name for stored in shared.optuna_trials() for name in stored.params}
    assert {"latent_dim[0]", "latent_dim[1]"} <= names  # other domains: parameters of their own
    assert "latent_dim" not in names


def test_the_sampler_learns(tmp_path: Path, dataset: Dataset) -> None:
    text = "name: a\ndataset: digits\nspace:\n- {model: vae, latent_dim: {int: [1, 400]}}\n"
    searching = Searching(tmp_path, dataset, text + "search: {sampler: tpe, num_trials: 30}\n")
    tried = [t.settings.latent_dim for t in searching.run()]  # best at 5
    assert np.mean(np.array(tried[20:]) < 60) > 0.6
    assert np.mean(np.array(tried[:10]) < 60) < 0.5


def test_a_trial_of_a_study_has_the_studys_dataset(tmp_path: Path, dataset: Dataset) -> None:
    study: Study = load(tmp_path, GOOD)
    trial = make_trial(study, dataset, next(study.enumerate_seeded())[0], 5)
    assert (trial.dataset, trial.settings.seed, trial.settings.model) == ("digits", 5, "vae")


@pytest.mark.parametrize("evaluation", ["disentanglement", "dci"])
def test_measures_of_disentanglement_are_refused_where_no_factors_are_known(
    tmp_path: Path, dataset: Dataset, evaluation: str
) -> None:
    with pytest.raises(InputError) as caught:
        Searching(tmp_path, dataset, edit(SEEDS, f"{SEEDS}\nevaluate: [{evaluation}]")).source()
    assert str(caught.value) == (
        f"{tmp_path}/study.yaml:14: evaluate: {evaluation} needs images whose factors are known, and those of digits "
        "are not; remove it, or set dataset: dsprites"
    )
