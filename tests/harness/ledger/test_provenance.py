"""What produced a result, as tags."""

import errno
import json
import platform
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.ledger import provenance
from harness.ledger.names import PROVENANCE
from harness.ledger.provenance import (
    PACKAGES,
    adopt_provenance,
    describe_checkout,
    describe_provenance,
    read_provenance,
    record_provenance,
)
from harness.study import Study


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments], capture_output=True, text=True, check=True, timeout=30
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git checkout with one commit, in which the code is made to lie."""
    code = tmp_path / "harness" / "provenance.py"
    code.parent.mkdir()
    code.write_text("")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    monkeypatch.setattr(provenance, "__file__", str(code))
    monkeypatch.setattr(provenance, "CODE_FOLDER", tmp_path)
    return tmp_path


def test_the_versions_of_what_computes_are_recorded() -> None:
    tags = describe_provenance()
    assert {name: tags[f"version.{name}"] for name in PACKAGES} == {name: version(name) for name in PACKAGES}
    assert {"torch", "ray", "optuna", "mlflow"} <= set(PACKAGES)
    assert tags["python"] == platform.python_version()
    assert tags["host"] == platform.node()
    assert all(isinstance(value, str) and value for value in tags.values())


def test_a_package_that_is_missing_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "PACKAGES", ("no-such-package",))
    assert describe_provenance()["version.no-such-package"] == "not installed"


def test_the_commit_is_that_of_the_code_wherever_one_stands(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    tags = describe_provenance()
    assert tags["git.commit"] == tags["mlflow.source.git.commit"] == git(checkout, "rev-parse", "HEAD")
    assert tags["git.dirty"] == "false"


@pytest.mark.parametrize("name", ["harness/provenance.py", "harness/new.py"])
def test_changed_and_new_files_make_it_dirty(checkout: Path, name: str) -> None:
    (checkout / name).write_text("changed")
    assert describe_provenance()["git.dirty"] == "true"


def test_of_what_is_uncommitted_the_code_alone_is_recorded_and_no_secret(checkout: Path) -> None:
    (checkout / "studies").mkdir()
    (checkout / "studies" / "mine.yaml").write_text("notify: null")
    git(checkout, "add", ".")
    git(checkout, "commit", "--quiet", "-m", "second")
    (checkout / "studies" / "mine.yaml").write_text("notify: https://hooks.example.com/T0/secret")
    (checkout / "harness" / "provenance.py").write_text("STORE = 'https://me:password@example.com/x'")
    diff = describe_checkout()["git.diff"]
    assert "+STORE = 'https://***@example.com/x'" in diff
    assert "hooks" not in diff


def test_outside_a_checkout_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "provenance.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    tags = describe_provenance()
    assert tags["git.commit"] == "not a git checkout"
    assert tags.keys().isdisjoint({"git.dirty", "mlflow.source.git.commit"})


def test_a_package_that_is_installed_below_another_checkout_is_none_of_it(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = checkout / ".venv" / "provenance.py"
    installed.parent.mkdir()
    installed.write_text("")
    monkeypatch.setattr(provenance, "__file__", str(installed))
    assert describe_checkout() == {"git.commit": "not a git checkout"}


def test_a_checkout_whose_state_git_does_not_say_is_not_called_clean(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = provenance._git
    monkeypatch.setattr(provenance, "_git", lambda *arguments: None if "status" in arguments else ask(*arguments))
    assert describe_checkout() == {"git.commit": git(checkout, "rev-parse", "HEAD"), "git.dirty": "unknown"}


@pytest.mark.parametrize("error", [FileNotFoundError("git"), subprocess.TimeoutExpired("git", 10)])
def test_a_git_that_is_missing_or_hangs_is_no_harm(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def run(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(subprocess, "run", run)
    assert describe_provenance()["git.commit"] == "not a git checkout"


def test_a_change_and_a_change_back_are_entries_of_the_record_and_a_run_without_any_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "_git", lambda *_: None)
    (tmp_path / "study.yaml").write_text("")
    for content in "abaa":
        record_provenance(tmp_path, {"dataset.sha256": content})
    assert [entry["dataset.sha256"] for entry in read_provenance(tmp_path)] == ["a", "b", "a"]


@pytest.mark.parametrize(("flaw", "told"), [("{cut", "it is damaged"), ("", "cannot be read"), ("{}", "it is damaged")])
def test_a_record_that_cannot_be_read_is_not_written_over(
    tmp_path: Path, flaw: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, other = tmp_path / "study", tmp_path / "other"
    for folder, text in ((study, flaw or '[{"host": "a"}]'), (other, '[{"host": "b"}]')):
        folder.mkdir()
        (folder / "study.yaml").write_text("")
        (folder / PROVENANCE).write_text(text)
    if not flaw:
        read = Path.read_text

        def read_stale(path: Path, encoding: str | None = None) -> str:
            if path.parent == study:
                raise OSError(errno.ESTALE, "Stale file handle")
            return read(path, encoding=encoding)

        monkeypatch.setattr(Path, "read_text", read_stale)
    for add in (lambda: record_provenance(study, {}), lambda: adopt_provenance(study, other)):
        with pytest.raises(InputError, match=rf"^{study / PROVENANCE}: {told}"):
            add()
    assert (study / PROVENANCE).read_bytes().decode() == (flaw or '[{"host": "a"}]')


def test_each_changed_study_file_leaves_an_entry_with_its_date_and_the_text_that_its_hash_is_of(tmp_path: Path) -> None:
    texts = ["seeds: [0]\n", "seeds: [0, 1]  # \u00e9\r\n"]
    for text in (texts[0], texts[0], texts[1]):
        (tmp_path / "study.yaml").write_bytes(text.encode())
        record_provenance(tmp_path, {})
        record = read_provenance(tmp_path)
        age = datetime.now(UTC) - datetime.fromisoformat(record[-1]["date"])
        if text == texts[0]:
            aged = [entry | {"date": "2020-02-02T02:02:02+00:00"} for entry in record]
            (tmp_path / PROVENANCE).write_text(json.dumps(aged))
    assert age < timedelta(minutes=5)
    assert [entry["study"] for entry in record] == texts
    assert [entry["study.sha256"] for entry in record] == [sha256(text.encode()).hexdigest() for text in texts]
    assert record[0]["date"] == "2020-02-02T02:02:02+00:00"


def test_what_trained_the_states_of_another_study_is_recorded_for_the_study_that_takes_them_over(
    run: Callable[..., object], tmp_path: Path
) -> None:
    space = [{"model": "vae", "latent_dim": 2}]
    defaults = {"hidden": [8], "batch_size": 128, "epochs": 1}
    content = {"dataset": "digits", "defaults": defaults, "space": space, "evaluate": ["elbo"]}
    run(Study.model_validate({"name": "lender", **content}))
    lender, taker = (tmp_path / "results" / name for name in ("lender", "taker"))
    [entry] = read_provenance(lender)
    (lender / PROVENANCE).write_text(json.dumps([entry | {"git.commit": "another"}]))
    run(Study.model_validate({"name": "taker", **content}))
    assert [entry["git.commit"] for entry in read_provenance(taker)] == ["another", entry["git.commit"]]
    assert [entry["git.commit"] for entry in read_provenance(lender)] == ["another"]
