"""Where trials come from: what every source promises, and what Optuna's adds to it."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy import Engine, event

from harness.datasets import Dataset, load_dataset
from harness.errors import InputError
from harness.ledger.result import Result, Status
from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder
from harness.search.grid_and_random import ListSource, plan_trials
from harness.search.make_source import make_source
from harness.search.optuna_source import OptunaSource
from harness.search.source import Source, make_trial
from harness.study import Study
from harness.study.domains import Finite
from tests.harness.small_studies import ALPHA, GOOD, LATENTS, RANDOM, SEEDS, TPE, edit, load

SPACE = edit("epochs: 2", "epochs: 2\n  learning_rate: {loguniform: [1e-4, 1e-2]}\n  batch_size: {choice: [32, 64]}")
SPACE = edit(LATENTS, "{int: [2, 9]}", edit(ALPHA, "{uniform: [0.1, 0.3]}", SPACE))
SPACE = edit(
    "  - model: vsc\n", "  - model: vsc\n    hidden: {grid: [[8], [8, 4]]}\n    beta: {range: [1, 3, 0.5]}\n", SPACE
)
ONE_SPACE = """\
name: demo
dataset: digits
defaults: {epochs: 2, hidden: [8]}
space:
  - model: vsc
    latent_dim: {int: [2, 9]}
    alpha: {loguniform: [0.01, 0.3]}
    beta: {uniform: [0.5, 2]}
"""
STUDIES = {
    "grid": GOOD,
    "quasirandom": edit(SEEDS, "seeds: [0, 1]\nsearch: {sampler: quasirandom, num_trials: 4}\n", SPACE),
    "gp": ONE_SPACE + "search: {sampler: gp, num_trials: 6}\n",
    "cmaes": ONE_SPACE + "search: {sampler: cmaes, num_trials: 6}\n",
    "nsga2": ONE_SPACE + "search: {sampler: nsga2, num_trials: 9, metric: [val/elbo, val/rate]}\n",
    "tpe-two-metrics": edit(SEEDS, TPE.replace("6}", "6, metric: [val/elbo, train_seconds]}"), SPACE),
    "random": edit(SEEDS, "seeds: [0, 1]\nsearch: {sampler: random, num_trials: 4}\n", SPACE),
    "tpe": edit(SEEDS, TPE, SPACE),
    "tpe-asha": edit(SEEDS, TPE + "scheduler: {name: asha}\n", SPACE),
}
NUM_TRIALS = {"grid": 6, "random": 8, "quasirandom": 8, "nsga2": 9}  # else 6


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load_dataset("digits")


@pytest.fixture(autouse=True, scope="module")
def hasty_sqlite() -> Iterator[None]:
    """Databases of these tests need not outlive a power cut."""

    def hurry(connection: Any, _: object) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    event.listen(Engine, "connect", hurry)
    yield
    event.remove(Engine, "connect", hurry)


class Searching:
    """A study, the folder of its results, and sources on them, as runs of it make them one after another."""

    def __init__(self, folder: Path, dataset: Dataset, text: str) -> None:
        folder.mkdir(exist_ok=True)
        self.study, self.dataset, self.folder = load(folder, text), dataset, folder / "results"

    def source(self, *, read_only: bool = False) -> Source:
        return make_source(self.study, self.dataset, self.folder, read_only=read_only)

    def end(self, trial: Trial, status: Status = "finished", value: float | None = None) -> Result:
        """Write a trial's result, as its process would."""
        score = value if value is not None else -abs(trial.settings.latent_dim - 5.0)
        history = [{"epoch": e, "seconds": 0.1} | dict.fromkeys(self.study.objectives, score + e - 2) for e in (1, 2)]
        result = Result(status=status, history=history, evaluated=self.study.measures.evaluated)  # type: ignore[arg-type]
        TrialFolder(self.folder, trial).write_result(result)
        return result

    def run(self, source: Source | None = None, *, at_most: int = 1000, status: Status = "finished") -> list[Trial]:
        """Run trials to their ends, one by one; returns those that ran."""
        source = source or self.source()
        ran: list[Trial] = []
        while len(ran) < at_most and (trial := source.next()) is not None:
            source.tell(trial, self.end(trial, status))
            ran.append(trial)
        return ran

    def optuna_trials(self) -> list[optuna.trial.FrozenTrial]:
        """Optuna's newest history."""
        storage = f"sqlite:///{self.folder / 'optuna.db'}"
        name = optuna.get_all_study_names(storage)[-1]
        return optuna.load_study(study_name=name, storage=storage).get_trials()


def ids(trials: Sequence[Trial]) -> list[str]:
    return [trial.trial_id for trial in trials]


# What every source promises


@pytest.fixture(params=["grid", "random", "quasirandom", "tpe-asha", "tpe-two-metrics", "gp", "cmaes", "nsga2"])
def searching(request: pytest.FixtureRequest, tmp_path: Path, dataset: Dataset) -> Searching:
    return Searching(tmp_path, dataset, STUDIES[request.param])


def test_every_trial_comes_once_and_then_none(searching: Searching, request: pytest.FixtureRequest) -> None:
    source = searching.source()
    ran = searching.run(source)
    name = request.node.callspec.params["searching"]
    assert len(ran) == len(set(ids(ran))) == source.num_trials == NUM_TRIALS.get(name, 6)
    assert ids(source.trials) == ids(ran)
    assert source.next() is None


def test_every_trial_lies_in_a_sub_space(searching: Searching) -> None:
    for trial in searching.run():
        assert any(holds(space, trial) for space in searching.study.sub_spaces())
        assert trial.dataset_hash == searching.dataset.content_hash
        assert (trial.settings.alpha is None) == (trial.settings.model == "vae")
        assert trial.settings.seed in searching.study.seeds


def holds(space: Any, trial: Trial) -> bool:
    for setting, domain in space.items():
        value = getattr(trial.settings, setting)
        if not (value in domain.values if isinstance(domain, Finite) else domain.low <= value <= domain.high):
            return False
    return True


def test_what_has_ended_does_not_come_again(searching: Searching) -> None:
    first = searching.run(at_most=3)
    source = searching.source()
    rest = searching.run(source)
    assert set(ids(first)).isdisjoint(ids(rest))
    assert len(first) + len(rest) == source.num_trials
    assert set(ids(source.trials)) == {*ids(first), *ids(rest)}
    assert searching.source().next() is None


def test_a_killed_run_resumes_with_what_it_left_unfinished(searching: Searching) -> None:
    source = searching.source()
    done = searching.run(source, at_most=2)
    begun = [source.next(), source.next()]  # running when the process is killed
    del source
    source = searching.source()
    assert [source.next(), source.next()] == begun
    rest = searching.run(source)
    assert len(done) + 2 + len(rest) == source.num_trials
    assert len({*ids(done), *ids([t for t in begun if t]), *ids(rest)}) == source.num_trials


@pytest.mark.parametrize(("status", "comes_again"), [("failed", True), ("diverged", False)])
def test_a_trial_that_failed_comes_again_at_the_next_run_and_a_diverged_one_does_not(
    searching: Searching, status: Status, comes_again: bool
) -> None:
    source = searching.source()
    (bad,) = searching.run(source, at_most=1, status=status)
    rest = searching.run(source)
    assert bad.trial_id not in ids(rest)  # not within the same run
    assert ids(searching.run()) == ([bad.trial_id] if comes_again else [])


def test_a_trial_that_lacks_an_evaluation_comes_again(searching: Searching) -> None:
    lacking, *_ = searching.run()
    folder = TrialFolder(searching.folder, lacking)
    result = folder.read_result()
    assert result is not None
    folder.write_result(dataclasses.replace(result, evaluated=[]))
    assert ids(searching.run()) == [lacking.trial_id]
    assert searching.source().next() is None


def test_a_trial_that_the_scheduler_stopped_stays_stopped_under_that_scheduler(searching: Searching) -> None:
    stopped = searching.run(status="stopped")
    expected = [] if searching.study.scheduler.name == "asha" else ids(stopped)
    assert ids(searching.run()) == expected


def digest(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in folder.rglob("*") if p.is_file()}  # fmt: skip


def test_reading_changes_nothing_and_knows_every_trial_so_far(searching: Searching) -> None:
    source = searching.source()
    searching.run(source, at_most=2)
    untold, begun = source.next(), source.next()
    assert untold is not None
    searching.end(untold)
    before = digest(searching.folder)
    found = searching.source(read_only=True)
    assert digest(searching.folder) == before
    assert found.num_trials == source.num_trials
    assert ids(found.trials) == ids(source.trials)
    assert begun in found.trials


def test_a_shorter_search_keeps_what_a_longer_one_proposed(tmp_path: Path, dataset: Dataset) -> None:
    long = Searching(tmp_path, dataset, STUDIES["tpe"])
    long.run(at_most=5)
    short = Searching(tmp_path, dataset, STUDIES["tpe"].replace("num_trials: 6", "num_trials: 4")).source(
        read_only=True
    )
    assert (len(short.trials), short.num_trials) == (5, 5)


def test_reading_where_nothing_was_run_makes_no_file(searching: Searching) -> None:
    assert searching.source(read_only=True).num_trials == searching.source(read_only=True).num_trials
    assert not searching.folder.exists()


# Lists


def test_a_grid_runs_seed_by_seed(tmp_path: Path, dataset: Dataset) -> None:
    trials = plan_trials(load(tmp_path, edit("[0, 1]", "[7, 3]")), dataset)
    assert [(t.settings.seed, t.settings.model, t.settings.latent_dim) for t in trials] == [
        (7, "vae", 2),
        (7, "vsc", 2),
        (7, "vsc", 4),
        (3, "vae", 2),
        (3, "vsc", 2),
        (3, "vsc", 4),
    ]


def test_a_sub_space_may_have_seeds_of_its_own(tmp_path: Path, dataset: Dataset) -> None:
    """More at some points than elsewhere; what two sub-spaces share is one trial."""
    more = "  - {model: vsc, latent_dim: 4, alpha: 0.2, seeds: [0, 1, 5]}\n"
    study = load(tmp_path, edit(SEEDS, more + SEEDS))
    trials = plan_trials(study, dataset)
    of_four = [t.settings.seed for t in trials if t.settings.latent_dim == 4]
    assert of_four == [0, 1, 5]
    assert len(trials) == 7
    assert (study.all_seeds, study.count_trials()) == ((0, 1, 5), 9)


def test_a_configuration_that_two_sub_spaces_share_is_one_trial(tmp_path: Path, dataset: Dataset) -> None:
    text = edit("  - model: vsc\n", "  - model: vae\n    latent_dim: {range: [1, 3, 1]}\n    beta: 1\n  - model: vsc\n")
    trials = plan_trials(load(tmp_path, text), dataset)
    assert [t.settings.latent_dim for t in trials if t.settings.model == "vae"] == [2, 1, 3] * 2
    assert len(trials) == len(set(ids(trials))) == 10


def test_a_default_that_is_spelled_out_is_the_same_trial(tmp_path: Path, dataset: Dataset) -> None:
    plain = plan_trials(load(tmp_path, GOOD), dataset)
    text = edit("epochs: 2", "epochs: 2\n  beta: 1\n  learning_rate: 1e-3\n  gamma_link: exp_relu\n  num_validation: 0")
    assert ids(plan_trials(load(tmp_path, text), dataset)) == ids(plain)


def test_random_search_is_the_same_for_a_seed_and_another_for_another(tmp_path: Path, dataset: Dataset) -> None:
    text = STUDIES["random"]
    first, again = (ids(plan_trials(load(tmp_path, text), dataset)) for _ in range(2))
    other = ids(plan_trials(load(tmp_path, text.replace("num_trials: 4", "num_trials: 4, seed: 1")), dataset))
    assert first == again
    assert set(first).isdisjoint(other)


def test_more_random_trials_begin_with_the_fewer(tmp_path: Path, dataset: Dataset) -> None:
    text = edit("[0, 1]", "[0]", STUDIES["random"])
    few = ids(plan_trials(load(tmp_path, text), dataset))
    many = ids(plan_trials(load(tmp_path, text.replace("num_trials: 4", "num_trials: 30")), dataset))
    assert many[:4] == few
    assert len(set(many)) == 30


def test_random_search_draws_from_every_sub_space_and_runs_each_draw_with_every_seed(
    tmp_path: Path, dataset: Dataset
) -> None:
    trials = plan_trials(load(tmp_path, STUDIES["random"].replace("num_trials: 4", "num_trials: 30")), dataset)
    assert {t.settings.model for t in trials} == {"vae", "vsc"}
    first, second = trials[:30], trials[30:]
    assert [without_seed(t) for t in first] == [without_seed(t) for t in second]
    assert {t.settings.seed for t in first} == {0}
    assert {t.settings.seed for t in second} == {1}


def without_seed(trial: Trial) -> dict[str, Any]:
    return trial.settings.to_dict() | {"seed": None}


def test_draws_that_coincide_are_one_trial(tmp_path: Path, dataset: Dataset) -> None:
    trials = plan_trials(load(tmp_path, edit(SEEDS, RANDOM.replace("6}", "50}"))), dataset)
    assert len(trials) == len(set(ids(trials))) == 6  # three points, two seeds


def test_planning_reads_no_global_generator(tmp_path: Path, dataset: Dataset) -> None:
    study = load(tmp_path, STUDIES["random"])
    np.random.seed(1)
    first = ids(plan_trials(study, dataset))
    np.random.seed(2)
    assert ids(plan_trials(study, dataset)) == first


def test_a_configuration_that_the_dataset_cannot_have_is_refused(tmp_path: Path, dataset: Dataset) -> None:
    study = load(tmp_path, edit("epochs: 2", "num_validation: 1500"))
    with pytest.raises(InputError) as caught:
        plan_trials(study, dataset)
    assert str(caught.value) == ("study demo: num_validation: 1500 of 1500 training images; leave some to train on")


@pytest.mark.parametrize(
    ("text", "most"),
    [
        (edit("epochs: 2", "batch_size: {grid: [32, SIZE]}"), 1500),
        (edit("epochs: 2", "batch_size: SIZE\n  num_validation: {grid: [1200, 0]}"), 300),
        (STUDIES["gp"].replace("epochs: 2", "epochs: 2, batch_size: {int: [32, SIZE]}"), 1250),
    ],
    ids=["grid", "held-out", "gp"],
)
def test_batches_that_the_dataset_could_not_fill_are_refused_before_any_trains(
    tmp_path: Path, dataset: Dataset, text: str, most: int
) -> None:
    """They would be trained as smaller ones, alike whatever the study says. A search holds a sixth of 1500 out."""
    with pytest.raises(InputError, match=f"study demo: batch_size: {most + 1} of {most} training images.*; give"):
        Searching(tmp_path, dataset, text.replace("SIZE", str(most + 1))).source()
    Searching(tmp_path, dataset, text.replace("SIZE", str(most))).source()


@pytest.mark.parametrize("text", [GOOD, edit(SEEDS, TPE)], ids=["grid", "tpe"])
def test_networks_that_the_images_do_not_fit_are_refused_before_any_trains(
    tmp_path: Path, dataset: Dataset, text: str
) -> None:
    with pytest.raises(InputError, match=r"study demo: network: conv takes square images .* 8 x 8; set network: mlp"):
        Searching(tmp_path, dataset, text.replace("epochs: 2", "network: conv")).source()


@pytest.mark.parametrize(("name", "kind"), [("grid", ListSource), ("random", ListSource), ("tpe", OptunaSource)])
def test_adaptive_samplers_ask_optuna(name: str, kind: type, tmp_path: Path, dataset: Dataset) -> None:
    assert isinstance(Searching(tmp_path, dataset, STUDIES[name]).source(), kind)


# Optuna


@pytest.fixture
def tpe(tmp_path: Path, dataset: Dataset) -> Searching:
    return Searching(tmp_path, dataset, STUDIES["tpe"])


def with_text(tpe: Searching, change: Callable[[str], str]) -> Searching:
    """The same study, after its file was changed."""
    return Searching(tpe.folder.parent, tpe.dataset, change(STUDIES["tpe"]))


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
    trial = make_trial(study, dataset, next(study.enumerate_grid()), 5)
    assert (trial.dataset, trial.settings.seed, trial.settings.model) == ("digits", 5, "vae")


@pytest.mark.parametrize("evaluation", ["disentanglement", "dci"])
def test_measures_of_disentanglement_are_refused_where_no_factors_are_known(
    tmp_path: Path, dataset: Dataset, evaluation: str
) -> None:
    with pytest.raises(InputError) as caught:
        Searching(tmp_path, dataset, edit(SEEDS, f"{SEEDS}\nevaluate: [{evaluation}]")).source()
    assert str(caught.value) == (
        f"study demo: evaluate: {evaluation} needs images whose factors are known, and those of digits are not; remove "
        "it, or set dataset: dsprites"
    )
