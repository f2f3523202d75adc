"""`from harness import ...`: a small study on digits, trained without Ray, then read back."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

import harness
from harness import Study, load_model, load_tables
from harness.cluster.connect import check_not_elsewhere, quieten_ray
from harness.commands.outcome import Outcome
from harness.datasets import load_dataset
from harness.errors import InputError
from harness.interruption import raise_interrupted
from harness.ledger.tables import build_tables, write_tables
from harness.ledger.trial_folder import TrialFolder
from harness.search.grid_and_random import plan_trials
from harness.tracking.mlflow_settings import quieten_mlflow
from harness.worker.trial_run import run_trial
from tests.harness.small_studies import GOOD, edit, write


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with study.yaml and results/, in which two of its six trials were trained, one of each model."""
    folder = tmp_path_factory.mktemp("python")
    study = Study.from_file(write(folder, "# Which?\n" + edit("epochs: 2", "epochs: 4", GOOD)))
    dataset, ended = load_dataset("digits"), []
    for trial in plan_trials(study, dataset)[:2]:
        list(run_trial(trial, study.measures, dataset, folder / "results" / "demo"))
        result = TrialFolder(folder / "results" / "demo", trial).read_result()
        assert result is not None
        ended.append((trial, result))
    write_tables(folder / "results" / "demo", build_tables(study, ended, {}))
    return folder


def in_a_fresh_process(folder: Path, program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_harness_is_imported_without_a_library(tmp_path: Path) -> None:
    program = (
        "import sys; before = set(sys.modules); import harness; assert callable(harness.load_model);"
        "libraries = {name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names);"
        "print(sorted(libraries & {'ray', 'mlflow', 'torch', 'optuna', 'pandas', 'matplotlib', 'pyarrow'}))"
    )
    assert in_a_fresh_process(tmp_path, program) == "[]"
    bare = "import sys; before = set(sys.modules); import harness; print(sorted(set(sys.modules) - before))"
    loaded = {name.partition(".")[0] for name in eval(in_a_fresh_process(tmp_path, bare))}
    assert loaded - set(sys.stdlib_module_names) == {"harness", "models", "analysis"}


def test_what_is_exported_is_there_and_nothing_else() -> None:
    assert sorted(harness.__all__) == ["Study", "load_model", "load_tables", "run"]
    assert all(getattr(harness, name).__doc__ for name in harness.__all__)
    assert set(harness.__all__) <= set(dir(harness))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        harness.nothing  # noqa: B018


def test_a_stored_bound_is_found_again_in_a_fresh_process_without_ray_and_mlflow(trained: Path) -> None:
    """Of the winner, within the error of sampling: one sample for each of 297 images here, ten in the stored one."""
    program = """
import sys
from harness import Study, load_model, load_tables
from harness.datasets import load_dataset

study = Study.from_file("study.yaml")
trials, _ = load_tables(study)
best = trials.loc[trials["test/elbo"].idxmax()]
bounds = load_model(study, best).log_prob(load_dataset("digits").test_images, num_samples=1)
print(float(bounds.mean()), float(bounds.std() / len(bounds) ** 0.5), best["test/elbo"])
assert not {"ray", "mlflow"} & set(sys.modules), "loaded"
"""
    mean, error, stored = map(float, in_a_fresh_process(trained, program).split())
    assert error < 1
    assert abs(mean - stored) < 4 * error


def test_every_trial_has_the_bound_that_is_stored(trained: Path) -> None:
    """The images are the same, so that only the samples differ: far less than the images do."""
    images = load_dataset("digits").test_images
    trials, _ = load_tables("demo", trained / "results")
    assert sorted(trials["model"]) == ["vae", "vsc"]
    for _, row in trials.iterrows():
        model = load_model(Study.from_file(trained / "study.yaml"), row, trained / "results")
        means = [float(model.log_prob(images, num_samples=1, seed=seed).mean()) for seed in range(10)]
        assert sum(means) / 10 == pytest.approx(row["test/elbo"], abs=0.3)
        assert model.settings.model == row["model"]
        assert model.epochs_trained == 4


def test_a_plan_has_a_row_for_each_trial_and_starts_nothing(trained: Path, tmp_path: Path) -> None:
    study = Study.from_file(trained / "study.yaml")
    plan = study.plan(trained / "results")
    assert list(plan.columns[:4]) == ["trial_id", "phase", "status", "epochs_left"]
    assert plan["status"].tolist() == ["finished", "finished", *["waiting"] * 4]
    assert plan["epochs_left"].tolist() == [0, 0, 4, 4, 4, 4]
    assert plan["latent_dim"].tolist() == [2, 2, 4, 2, 2, 4]
    assert plan["alpha"].isna().tolist() == [True, False, False] * 2
    assert len(study.plan(tmp_path / "nothing")) == 6
    assert not (tmp_path / "nothing").exists()


def test_a_plan_of_a_search_that_was_not_run_has_its_columns_and_no_row(tmp_path: Path) -> None:
    space = [{"model": "vae", "latent_dim": 2, "learning_rate": {"loguniform": [1e-4, 1e-2]}}]
    study = Study(name="searched", dataset="digits", space=space, search={"sampler": "tpe", "num_trials": 3})
    plan = study.plan(tmp_path)
    assert (len(plan), list(plan.columns)) == (0, ["trial_id", "phase", "status", "epochs_left"])


def test_tables_have_a_row_per_trial_and_one_per_epoch(trained: Path) -> None:
    path = trained / "study.yaml"
    for given in (Study.from_file(path), "demo", path, str(path)):
        trials, history = load_tables(given, trained / "results")
        assert isinstance(trials, pd.DataFrame)
        assert (len(trials), len(history)) == (2, 8)


def test_a_study_from_python_and_one_from_its_file_are_the_same(trained: Path) -> None:
    space = [{"model": "vae", "latent_dim": 2}, {"model": "vsc", "latent_dim": {"grid": [2, 4]}, "alpha": 0.2}]
    made = Study(name="demo", dataset="digits", defaults={"epochs": 4, "hidden": [8]}, space=space, seeds=[0, 1])  # type: ignore[arg-type]
    read = Study.from_file(trained / "study.yaml")
    assert made.model_dump() == read.model_dump()
    assert made.plan(trained / "results")["trial_id"].tolist() == read.plan(trained / "results")["trial_id"].tolist()


def test_the_text_of_a_study_keeps_its_question_and_its_changes(trained: Path) -> None:
    path = trained / "study.yaml"
    assert Study.from_file(path).to_yaml() == path.read_text()
    changed = Study.from_file(path, ["seeds=[5]"])
    assert changed.to_yaml().startswith("# Which?\nname: demo\n")
    assert "- 5" in changed.to_yaml()
    copied = Study.from_file(path).model_copy(update={"seeds": (7,)})
    assert "- 7" in copied.to_yaml()


def test_a_changed_copy_is_a_study_as_if_made_so(trained: Path) -> None:
    """Also once it has been planned, when the study it is made from knows by which settings to tell trials apart."""
    study = Study.from_file(trained / "study.yaml")
    study.plan(trained / "results")
    space = [{"model": "vae", "latent_dim": 2, "learning_rate": {"grid": [1e-3, 1e-4]}}]
    copied = study.model_copy(update={"space": space, "confirm": None})
    made = Study(**study.model_dump(mode="json", exclude_none=True) | {"space": space})
    dataset = load_dataset("digits")
    assert copied.model_dump() == made.model_dump()
    assert [t.label for t in plan_trials(copied, dataset)] == [t.label for t in plan_trials(made, dataset)]


def test_tables_without_a_study_file_are_read_by_their_name(trained: Path) -> None:
    assert not (trained / "results" / "demo" / "study.yaml").exists()
    assert len(load_tables("demo", trained / "results")[0]) == 2


def test_a_file_is_run_as_it_is(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its question; and of a name the file in ./studies, which may be newer, as `spikeslab run` does."""
    texts = []

    def note(study: Study, text: str, **_: object) -> Outcome:
        assert study.name == "demo"
        texts.append(text)
        return Outcome(1, 1, 0, 0, 0, 0, None, 0, 0.0, 0.0)

    monkeypatch.setattr("harness.python.run.run_study", note)
    monkeypatch.chdir(tmp_path)
    for path, question in (("studies/demo.yaml", "Newer?"), ("results/demo/study.yaml", "Older?")):
        Path(path).parent.mkdir(parents=True)
        Path(path).write_text(f"# {question}\n{GOOD}")
    for given in (trained / "study.yaml", str(trained / "study.yaml"), "demo"):
        harness.run(given)
    text = (trained / "study.yaml").read_text()
    assert texts == [text, text, f"# Newer?\n{GOOD}"]


def test_one_override_may_stand_without_a_list(trained: Path) -> None:
    path = trained / "study.yaml"
    assert Study.from_file(path, "epochs=3") == Study.from_file(path, ["epochs=3"]) != Study.from_file(path)


def test_a_second_ctrl_c_is_a_keyboard_interrupt_too(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a SystemExit, which would end the program, past whoever catches what is documented."""

    def press_twice(*_: object, **__: object) -> None:
        raise_interrupted(signal.SIGINT)

    monkeypatch.setattr("harness.python.run.run_study", press_twice)
    with pytest.raises(KeyboardInterrupt, match="run it again"):
        harness.run(Study.from_file(trained / "study.yaml"), tmp_path)


@pytest.mark.parametrize("is_stopped", [False, True])
def test_a_run_leaves_the_settings_of_mlflow_as_they_were(
    is_stopped: bool, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def quieten(*_: object, **__: object) -> Outcome:
        quieten_mlflow()
        assert "MLFLOW_EXPERIMENT_NAME" not in os.environ
        assert "MLFLOW_HTTP_REQUEST_TIMEOUT" in os.environ
        assert logger.level == logging.ERROR
        if is_stopped:
            raise_interrupted(signal.SIGINT)
        return Outcome(1, 1, 0, 0, 0, 0, None, 0, 0.0, 0.0)

    monkeypatch.setattr("harness.python.run.run_study", quieten)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "sqlite:///mine.db")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT", raising=False)
    logger = logging.getLogger("mlflow")
    monkeypatch.setattr(logger, "level", logging.INFO)
    before = dict(os.environ)
    with pytest.raises(KeyboardInterrupt) if is_stopped else nullcontext():
        harness.run(Study.from_file(trained / "study.yaml"), tmp_path)
    assert (dict(os.environ), logger.level) == (before, logging.INFO)


def test_an_address_beside_another_ray_of_this_process_is_refused(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the study would run on that one; nothing is stored before."""
    quieten_ray()
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(gcs_address="10.0.0.1:6379"))
    with pytest.raises(
        InputError, match=r"^10.0.0.2:6379: this process is .* already, at 10.0.0.1:6379; call ray.shut"
    ):
        harness.run(Study.from_file(trained / "study.yaml"), tmp_path / "new", address="10.0.0.2:6379")
    assert not (tmp_path / "new").exists()
    check_not_elsewhere("10.0.0.1:6379")
    check_not_elsewhere(None)


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "another trial": (
        lambda folder: load_model(Study.from_file(folder / "study.yaml"), "0" * 16, folder / "results"),
        "demo: its file as it is now asks for no trial 0000000000000000; take a trial_id of study.plan()",
    ),
    "an untrained trial": (
        lambda folder: load_model(
            study := Study.from_file(folder / "study.yaml"), study.plan().iloc[3], folder / "results"
        ),
        "is stored; train it with `spikeslab run demo`",
    ),
    "no study": (lambda folder: load_model("other", "x", folder / "results"), "other: no study of that name"),
    "a wrong override": (lambda folder: Study.from_file(folder / "study.yaml", ["epochs=0"]), "give at least 1"),
    "a file in the place of fields": (
        lambda _: Study("my-study.yaml"),  # type: ignore[call-arg, misc]
        "Study: 'my-study.yaml': fields are given by name, as name=...; a file is read by Study.from_file",
    ),
    "no space": (lambda _: Study(name="demo", dataset="digits"), "Study: space: missing; add it"),  # type: ignore[call-arg]
    "a setting in the place of a field": (
        lambda _: Study(name="demo", dataset="digits", space=[{"model": "vae"}], epochs=3),  # type: ignore[call-arg, arg-type]
        "Study: epochs: unknown key; did you mean epochs under defaults?",
    ),
    "a setting in the place of a field of a copy": (
        lambda folder: Study.from_file(folder / "study.yaml").model_copy(update={"epochs": 3}),
        "Study: epochs: unknown key; did you mean epochs under defaults?",
    ),
    "a seed twice in a copy": (
        lambda folder: Study.from_file(folder / "study.yaml").model_copy(update={"seeds": [0, 0]}),
        "Study: seeds: ",
    ),
    "a setting of a copy that is none": (
        lambda folder: Study.from_file(folder / "study.yaml").model_copy(update={"defaults": {"epoch": 3}}),
        "Study: defaults.epoch: unknown key; did you mean epochs?",
    ),
    "overrides as a dictionary": (
        lambda folder: Study.from_file(folder / "study.yaml", {"epochs": 3}),  # type: ignore[arg-type]
        "study.yaml: overrides are a list of texts; write them as in ['epochs=3']",
    ),
    "tables of no name": (lambda folder: load_tables("", folder / "results"), ": neither a study file nor the name"),
    "tables beside the results": (
        lambda folder: load_tables("../results/demo", folder / "results"),
        "../results/demo: neither a study file nor the name of a study",
    ),
    "tables of a number": (
        lambda folder: load_tables(3, folder / "results"),  # type: ignore[arg-type]
        "no study, but of type int; give a Study, its name or the path of its file",
    ),
    "a run of nothing": (
        lambda folder: harness.run(None, folder / "results"),
        "no study, but of type NoneType",
    ),
    "a trial by its number": (
        lambda folder: load_model(folder / "study.yaml", 0, folder / "results"),  # type: ignore[arg-type]
        "trial: neither a trial_id nor a row that has one; give one row, such as trials.iloc[0]",
    ),
    "a row without a trial": (
        lambda folder: load_model(folder / "study.yaml", {"a": 1}, folder / "results"),
        "trial: neither a trial_id nor a row that has one",
    ),
    "a whole table": (
        lambda folder: load_model(folder / "study.yaml", Study.from_file(folder / "study.yaml").plan()),
        "trial: neither a trial_id nor a row that has one",
    ),
    "a seed twice": (
        lambda _: Study(name="demo", dataset="digits", space=[{"model": "vae", "latent_dim": 2}], seeds=[0, 0]),  # type: ignore[arg-type]
        "Study: seeds: ",
    ),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_what_cannot_be_is_one_sentence(trained: Path, case: tuple[Callable[[Path], object], str]) -> None:
    attempt, sentence = case
    with pytest.raises(InputError) as caught:
        attempt(trained)
    assert sentence in str(caught.value)


def test_a_damaged_state_is_passed_over(trained: Path) -> None:
    """The newest state that is whole is loaded, as training would resume from it."""
    study = Study.from_file(trained / "study.yaml")
    row = study.plan(trained / "results").iloc[0]
    trial = next(t for t in plan_trials(study, load_dataset("digits")) if t.trial_id == row["trial_id"])
    (state,) = TrialFolder(trained / "results" / "demo", trial).list_own_states()
    whole = state.read_bytes()
    state.write_bytes(whole[:-10])
    try:
        with pytest.raises(InputError, match="no state of trial"):
            load_model(study, row, trained / "results")
    finally:
        state.write_bytes(whole)
