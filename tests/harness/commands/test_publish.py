"""`spikeslab publish`: studies of a list are trained once, on whatever machine, and kept whole."""

import io
from collections.abc import Collection
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from harness.commands import publish
from harness.commands.publish import plan_publication, publish_studies, read_list, tabulate
from harness.datasets import identify_dataset
from harness.errors import InputError
from harness.interruption import Interrupted
from harness.ledger.published import publish_tables
from harness.ledger.result import Result, Row
from harness.ledger.tables import build_tables, write_tables
from harness.ledger.trial_folder import TrialFolder
from harness.search.grid_and_random import plan_trials
from harness.study import Study
from harness.study.file import load_study

DIGITS = identify_dataset("digits")
STUDY = """# Does it work?
name: {name}
dataset: digits
defaults: {{hidden: [4], batch_size: 500, epochs: 1}}
space: [{{model: vae, latent_dim: {{grid: [2, 3, 4]}}}}]
seeds: [0]
evaluate: {evaluate}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two studies that share trials, and their list; a checkout without changes."""
    monkeypatch.setattr(publish, "describe_checkout", lambda: {"git.dirty": "false"})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "first.yaml").write_text(STUDY.format(name="first", evaluate="[elbo, latents]"))
    (tmp_path / "second.yaml").write_text(STUDY.format(name="second", evaluate="[elbo]"))
    (tmp_path / "list.yaml").write_text(
        "studies:\n"
        "  - study: first.yaml\n    set: {space.0.latent_dim: {grid: [2, 3]}}\n"
        "  - study: second.yaml\n    without_gpu: {space.0.latent_dim: {grid: [2]}}\n"
    )
    return tmp_path


def plan(folder: Path, machine: str) -> list[publish.Publication]:
    return plan_publication(read_list(folder / "list.yaml"), into=folder / "kept", results=folder / machine)


def show(publications: list[publish.Publication]) -> list[str]:
    console = Console(file=io.StringIO(), width=120)
    console.print(tabulate(publications))
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()[1:]]  # type: ignore[attr-defined]


@pytest.mark.slow
def test_two_machines_publish_a_list_between_them(folder: Path, ray_cluster: str) -> None:
    console = Console(file=io.StringIO())
    assert show(plan(folder, "one"))[:2] == ["first 2 2 unknown", "second 1 0 nothing to train"]
    one = plan(folder, "one")
    assert publish_studies(one[:1], console, address=ray_cluster)
    table = pd.read_parquet(folder / "kept" / "first" / "trials.parquet")
    assert set(table["evaluated"]) == {"; ".join(one[0].study.measures.evaluated)}
    assert load_study(folder / "kept" / "first" / "study.yaml").count_trials() == 2
    two = plan(folder, "two")
    assert publish_studies(two, console, address=ray_cluster)
    assert "second: 1 of 1 trial done, 0 trained or measured now" in console.file.getvalue()  # type: ignore[attr-defined]
    assert not (folder / "two" / "first").exists()
    assert show(plan(folder, "three"))[:2] == ["first 2 0 published", "second 1 0 published"]
    kept = pd.read_parquet(folder / "kept" / "second" / "trials.parquet").iloc[0]
    assert kept["test/elbo"] == table.set_index("trial_id").loc[kept["trial_id"], "test/elbo"]


@pytest.mark.parametrize(
    ("is_dirty", "told"),
    [("true", r"changes that no commit holds.*commit them"), ("unknown", r"git does not say whether.*`git status`")],
)
def test_code_that_no_commit_holds_publishes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, is_dirty: str, told: str
) -> None:
    monkeypatch.setattr(publish, "describe_checkout", lambda: {"git.dirty": is_dirty})
    with pytest.raises(InputError, match=told):
        publish_studies(plan(folder, "one"), Console(file=io.StringIO()))
    assert not (folder / "one").exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("studies:\n  - study: first.yaml\n  - study: first.yaml\n", "first.yaml: it is listed twice"),
        ("studies:\n  - name: first.yaml\n", r"list.yaml:2: studies.0.study: field required; write `studies:`"),
        ("studies:\n  - {study: first.yaml, sets: {}}\n", r"list.yaml:2: studies.0.sets: extra inputs"),
        ("studies:\n  - {study: first.yaml, set: {epoch: 2}}\n", r"--set epoch=2: epoch: unknown key; did you mean"),
        ("studies:\n  - {study: first.yaml, set: {space.7.alpha: 2}}\n", r"no field space.7.alpha"),
        ("studies:\n  - study: third.yaml\n", "third.yaml: cannot be read"),
    ],
)
def test_what_is_wrong_with_a_list_is_said(folder: Path, text: str, told: str) -> None:
    (folder / "list.yaml").write_text(text)
    with pytest.raises(InputError, match=told):
        plan(folder, "one")


def test_what_keeps_a_list_from_being_read_is_said(folder: Path) -> None:
    (folder / "latin.yaml").write_bytes("studies: [] # naïve".encode("latin-1"))
    for name, told in {
        "none.yaml": "No such file or directory); give the list of the studies to publish, a YAML file",
        ".": "Is a directory); give the list",
        "latin.yaml": "it is not UTF-8 text); save it as UTF-8",
    }.items():
        with pytest.raises(InputError) as caught:
            read_list(folder / name)
        assert f": cannot be read ({told}" in str(caught.value)


def store(folder: Path, study: Study, dims: Collection[int], *, in_tables: Collection[int]) -> None:
    """Results of trials in a study's folder; its tables, as an earlier run left them, have only some of the trials."""
    trials = plan_trials(study, DIGITS)
    epoch: Row = {"epoch": 1, "step": 3, "seconds": 1.0, "train/loss": 1.0}
    result = Result(status="finished", history=[epoch], metrics={"test/elbo": -1.0})
    for trial in trials:
        if trial.settings.latent_dim in dims:
            own = TrialFolder(folder, trial)
            own.path.mkdir(parents=True, exist_ok=True)
            own.write_result(result)
    told = [trial for trial in trials if trial.settings.latent_dim in in_tables]
    write_tables(folder, build_tables(study, [(trial, result) for trial in told], {}))
    (folder / "study.yaml").write_text(STUDY.format(name=folder.name, evaluate="[]"))


def list_rows(folder: Path) -> dict[str, int]:
    """How many trials the tables of each folder have."""
    tables = folder.glob("**/trials.parquet")
    return {str(path.parent.relative_to(folder)): len(pd.read_parquet(path)) for path in tables}


def test_a_study_that_was_not_reached_is_published_as_it_was(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another machine has trained more of it than this one."""
    whole = load_study(folder / "second.yaml", ["evaluate=[]"])
    (folder / "list.yaml").write_text(
        "studies: [{study: first.yaml}, {study: second.yaml, set: {evaluate: [], seeds: [0, 1]}}]"
    )
    store(folder / "there" / "second", whole, {2, 3, 4}, in_tables={2, 3, 4})
    publish_tables(folder / "there" / "second", folder / "kept", plan_trials(whole, DIGITS), is_whole=False)
    store(folder / "here" / "second", whole, {2}, in_tables={2})

    def interrupt(*_: object, **__: object) -> None:
        raise Interrupted(2)

    monkeypatch.setattr(publish, "run_study", interrupt)
    with pytest.raises(Interrupted):
        publish_studies(plan(folder, "here"), Console(file=io.StringIO()))
    assert list_rows(folder / "kept") == {"unfinished/second": 3}


def test_tables_that_lack_what_has_ended_are_not_published(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is killed has stored the results of its last trials, and no tables of them."""
    (folder / "list.yaml").write_text("studies: [{study: second.yaml, set: {evaluate: []}}]")
    store(folder / "here" / "second", load_study(folder / "second.yaml", ["evaluate=[]"]), {2, 3, 4}, in_tables={2})

    def fail(*_: object, **__: object) -> None:
        raise InputError("no Ray is to be had")

    monkeypatch.setattr(publish, "run_study", fail)
    with pytest.raises(InputError):
        publish_studies(plan(folder, "here"), Console(file=io.StringIO()))
    assert list_rows(folder / "kept") == {}


def test_a_study_with_a_command_is_published_whole(folder: Path) -> None:
    """The command of what is published is not run, but says nothing of what was trained."""
    study = load_study(folder / "second.yaml", ["evaluate=[]"])
    (folder / "list.yaml").write_text("studies: [{study: second.yaml, set: {evaluate: [], notify: ['true']}}]")
    store(folder / "here" / "second", study, {2, 3, 4}, in_tables={2, 3, 4})
    publish_tables(folder / "here" / "second", folder / "kept", plan_trials(study, DIGITS), is_whole=True)
    with (folder / "kept" / "second" / "study.yaml").open("a") as file:
        file.write("notify: ['true']\n")
    assert plan(folder, "two")[0].is_whole


def test_what_is_left_is_estimated_by_today_s_trials_alone(folder: Path) -> None:
    """By the study's own trials here, else by what is published of the dataset; older tables tell of slower code."""
    study = load_study(folder / "second.yaml", ["evaluate=[]"])
    (folder / "list.yaml").write_text("studies: [{study: second.yaml, set: {evaluate: [], resources.cpu: 100}}]")
    kept = folder / "kept" / "other"
    store(kept, study, {2, 3, 4}, in_tables={2})
    table = pd.read_parquet(kept / "trials.parquet").assign(trial_id="another", train_seconds=3600.0)
    table.drop(columns="evaluated", errors="ignore").to_parquet(kept / "trials.parquet")
    assert show(plan(folder, "here")) == ["second 3 3 unknown", "all that is known 0 s"]
    table.assign(evaluated="").to_parquet(kept / "trials.parquet")
    assert show(plan(folder, "here"))[0] == "second 3 3 3 h 00 min"
    table.assign(evaluated="", dataset="mnist").to_parquet(kept / "trials.parquet")
    assert show(plan(folder, "here"))[0] == "second 3 3 unknown"
    store(folder / "here" / "second", study, {2}, in_tables={2})
    assert show(plan(folder, "here"))[0] == "second 3 2 2 s"


def test_epochs_that_are_stored_or_shared_are_not_estimated_twice(folder: Path) -> None:
    lengths = {"evaluate": "[]", "space.0.latent_dim": "2", "defaults.epochs": "{grid: [1, 4, 10]}"}
    study = load_study(folder / "second.yaml", [f"{name}={value}" for name, value in lengths.items()])
    given = ", ".join(f"{name}: {value}" for name, value in lengths.items())
    (folder / "list.yaml").write_text(f"studies: [{{study: second.yaml, set: {{{given}, resources.cpu: 100}}}}]")
    short, _, long = plan_trials(study, DIGITS)
    history: list[Row] = [{"epoch": epoch, "step": epoch, "seconds": 2.0} for epoch in (1, 2)]
    own = TrialFolder(folder / "here" / "second", short)
    own.path.mkdir(parents=True)
    own.write_result(Result(status="finished", history=history[:1]))
    TrialFolder(folder / "here" / "second", long).write_checkpoint({}, history)
    assert show(plan(folder, "here"))[0] == "second 3 2 16 s"  # 8 epochs, of the 10 of one training
