"""`spikeslab publish`: studies of a list are trained once, on whatever machine, and kept whole."""

import io
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from harness.commands import publish
from harness.commands.publish import plan_publication, publish_studies, read_list, tabulate
from harness.errors import InputError
from harness.study.file import load_study

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


def test_code_that_no_commit_holds_publishes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "describe_checkout", lambda: {"git.dirty": "true"})
    with pytest.raises(InputError, match=r"changes that no commit holds.*commit them"):
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
