"""Files that are whole or not there; folders to write to, or of one user alone; locks that die with their holder."""

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.datasets import identify_dataset
from harness.datasets.image_map import _alone
from harness.errors import InputError
from harness.search.make_source import make_source
from harness.storage.local import (
    check_writable,
    locked,
    make_private,
    private_folder,
    write_atomically,
    write_text_atomically,
)
from harness.tracking.mlflow_store import MlflowStore
from tests.harness.small_studies import SEEDS, TPE, edit, load


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_is_written_with_its_folders_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    write_text_atomically(path, "é")
    assert path.read_bytes() == "é".encode()
    assert names(path.parent) == {"b.txt"}


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664), (0o027, 0o640)])
def test_a_file_has_the_rights_that_the_umask_leaves(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_text_atomically(tmp_path / "a.txt", "a")
        MlflowStore("small", tmp_path)
        tpe = edit(SEEDS, TPE)
        make_source(load(tmp_path, tpe), identify_dataset("digits"), tmp_path / "demo")
    finally:
        os.umask(before)
    for name in ("a.txt", "mlflow.db", "demo/optuna.db"):
        assert (tmp_path / name).stat().st_mode & 0o777 == mode, name


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write(temporary: Path) -> None:
        temporary.write_text("half")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent  # a rename across disks would be a copy
        assert temporary.suffix == ".txt"
        temporary.write_text("new")

    with path.open() as reader:
        write_atomically(path, write)
        assert reader.read() == "old"  # who reads it meanwhile gets all of the old one
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [RuntimeError, OSError, KeyboardInterrupt])
@pytest.mark.parametrize("content", ["old", None])
def test_a_writer_that_fails_leaves_the_old_file_and_no_other(
    tmp_path: Path, error: type[BaseException], content: str | None
) -> None:
    path = tmp_path / "a.txt"
    if content is not None:
        path.write_text(content)

    def write(temporary: Path) -> None:
        temporary.write_text("half")
        raise error

    with pytest.raises(error):
        write_atomically(path, write)
    assert names(tmp_path) == (set() if content is None else {"a.txt"})
    assert content is None or path.read_text() == content


def test_a_disk_that_is_full_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with pytest.raises(OSError, match="No space left on device") as caught:
        write_atomically(path, lambda _: Path("/dev/full").write_bytes(b"half"))
    assert caught.value.filename == str(path)


def test_a_writer_may_replace_its_temporary_file(tmp_path: Path) -> None:
    def write(temporary: Path) -> None:
        other = temporary.with_name("other")
        other.write_text("new")
        other.replace(temporary)

    write_atomically(tmp_path / "a", write)
    assert (tmp_path / "a").read_text() == "new"
    assert names(tmp_path) == {"a"}


# Room to write


def test_a_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b", 0)
    assert names(tmp_path / "a" / "b") == set()


def test_a_folder_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "results", Path("/proc/spikeslab")):
        with pytest.raises(InputError) as caught:
            check_writable(folder, 0)
        assert str(caught.value).startswith(f"{folder}: cannot be written to (")
        assert str(caught.value).endswith("; choose another folder with --results")


def test_a_folder_in_which_no_file_can_be_made_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^/proc/self: cannot be written to \(.+\); choose another folder"):
        check_writable(Path("/proc/self"), 0)


def test_a_folder_whose_name_no_table_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"its name is not UTF-8; choose another folder with --out$"):
        check_writable(tmp_path / os.fsdecode(b"m\xfcller"), 0, option="--out")


def test_a_disk_that_is_too_full_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2_500_000))
    check_writable(tmp_path, 2_500_000)
    with pytest.raises(InputError) as caught:
        check_writable(tmp_path, 3_000_000_000)
    assert str(caught.value) == (
        f"{tmp_path}: 2 MB free, but this study needs about 3,000 MB; free some space, "
        "or choose another folder with --results"
    )


def test_a_private_folder_is_made_once_and_a_name_that_is_taken_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = private_folder(tmp_path)
    for _ in range(2):
        make_private(folder)
        assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o770)
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    (tmp_path / "file").touch()
    for taken in (folder, *(tmp_path / name for name in ("link", "nowhere", "file"))):
        with pytest.raises(InputError, match=rf"^{taken}: .*; delete it, or set TMPDIR to a folder of your own$"):
            make_private(taken)
    folder.chmod(0o700)
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(InputError, match="is not of this user alone"):
        make_private(folder)


# Locks

HOLDER = """
import sys, time
from pathlib import Path
from harness.storage.local import locked
with locked(Path(sys.argv[1]), refusal="taken"):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@contextmanager
def holder(path: Path, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds a lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path), str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process:
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_a_lock_that_another_process_holds_is_refused_until_it_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "made" / ".lock"
    with holder(path, 60) as process:
        with pytest.raises(InputError, match="wait for it"), locked(path, refusal="wait for it"):
            raise AssertionError
        process.kill()
        process.wait()
        with locked(path, refusal="held still"):
            pass


def test_a_waiting_process_gets_the_lock_when_its_holder_lets_go(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with holder(path, 0.4) as process:
        started = time.monotonic()
        with locked(path):
            assert time.monotonic() - started > 0.2
            process.wait()
            assert process.returncode == 0


def test_a_lock_is_released_at_the_end_also_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), locked(path, refusal="held still"):
            raise ZeroDivisionError
    with locked(path, refusal="held still"), pytest.raises(InputError, match="taken"):  # noqa: SIM117
        with locked(path, refusal="taken"):
            pass


@pytest.mark.parametrize("lock", [locked, lambda path: _alone(path.parent)])
def test_a_link_in_the_place_of_a_lock_is_refused_and_what_it_points_to_stays(
    tmp_path: Path, lock: Callable[[Path], AbstractContextManager[object]]
) -> None:
    victim, path = tmp_path / ".bashrc", tmp_path / ".lock"
    victim.write_text("export A=1\n")
    path.symlink_to(victim)
    with pytest.raises(InputError, match=r"\.lock: is a link, but .*; delete the link"), lock(path):
        raise AssertionError
    assert victim.read_text() == "export A=1\n"
    path.unlink()
    with lock(path):
        pass


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK])
@pytest.mark.parametrize("refusal", [None, "held"])
def test_a_disk_without_locks_is_one_sentence(
    tmp_path: Path, number: int, refusal: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", fail)
    path = tmp_path / ".lock"
    with pytest.raises(InputError) as caught, locked(path, refusal=refusal):
        raise AssertionError
    assert str(caught.value) == (
        f"{path}: its file system has no locks (Function not implemented); mount it with the option flock, or choose "
        "another folder with --results"
    )
