"""What every place of results has to do, whether it is a folder or a bucket."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.storage import lease
from harness.storage.bucket import open_place
from harness.storage.place import Place
from tests.s3 import share

Machines = tuple[Place, Place]


@pytest.fixture(params=["folder", "address", "gcs"])
def machines(request: pytest.FixtureRequest, tmp_path: Path) -> Machines:
    """The same place, as two machines use it."""
    named = tmp_path / "results" if request.param == "folder" else request.getfixturevalue(request.param)
    here = open_place(named)
    there = here.for_trials()
    assert here.is_remote == (here.folder != there.folder)
    return here, there


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.05)
    monkeypatch.setattr(lease, "POLL_SECONDS", 0.1)


def fetch(place: Place, folder: str) -> dict[str, bytes]:
    """What a machine has of a folder, once it has fetched it."""
    place.fetch(place.list(place.folder / folder))
    files = [path for path in (place.folder / folder).rglob("*") if path.is_file()]
    return {path.relative_to(place.folder / folder).as_posix(): path.read_bytes() for path in files}


def test_what_one_machine_shares_another_has(machines: Machines) -> None:
    here, there = machines
    share(here, "study/a.txt")
    share(here, "study/trials/1/b c.bin", bytes(range(256)) * 1000)
    share(here, "other/empty", b"")
    assert fetch(there, "study") == {"a.txt": b"content", "trials/1/b c.bin": bytes(range(256)) * 1000}
    assert fetch(there, "other") == {"empty": b""}
    share(there, "study/a.txt", b"another")
    assert fetch(here, "study")["a.txt"] == b"another"


def test_one_file_is_had_where_there_is_one(machines: Machines) -> None:
    here, there = machines
    share(here, "study/a.txt")
    there.fetch_file(there.folder / "study/a.txt")
    there.fetch_file(there.folder / "study/none.txt")
    assert (there.folder / "study/a.txt").read_bytes() == b"content"
    assert not (there.folder / "study/none.txt").exists()
    assert there.read_start(there.folder / "study/a.txt", 4) == b"cont"
    assert there.read_start(there.folder / "study/a.txt", 400) == b"content"
    with pytest.raises(FileNotFoundError):
        there.read_start(there.folder / "study/none.txt", 4)


def test_folders_are_listed_and_no_files(machines: Machines) -> None:
    here, there = machines
    assert list(here.list_folders(here.folder)) == []
    for name in ("b/study.yaml", "a/trials/1/x", "file"):
        share(here, name)
    assert list(there.list_folders(there.folder)) == ["a", "b"]
    assert list(there.list_folders(there.folder / "a")) == ["trials"]


def test_what_one_machine_removes_is_gone_for_all(machines: Machines) -> None:
    here, there = machines
    path = share(here, "study/a.txt")
    here.remove(path, path.with_name("none"))
    here.remove()
    assert not path.exists()
    assert fetch(there, "study") == {}


def test_another_content_can_be_shared_than_a_file_has(machines: Machines) -> None:
    here, there = machines
    share(here, "study/a.db")
    here.write(here.folder / "study/a.db", b"a copy")
    assert fetch(there, "study") == {"a.db": b"a copy"}


def test_a_name_is_the_same_on_every_machine(machines: Machines) -> None:
    here, there = machines
    assert here.name(here.folder.absolute() / "study/a") == there.name(there.folder.absolute() / "study/a")


@pytest.mark.usefixtures("quick")
def test_one_process_works_on_a_study_at_a_time(machines: Machines) -> None:
    here, there = machines
    assert not there.is_held("study")
    with here.hold("study", "taken") as hold:
        assert there.is_held("study")
        for machine in machines:
            with pytest.raises(InputError, match=r"^taken$"), machine.hold("study", "taken"):
                raise AssertionError
        with there.hold("other", "taken"):
            assert hold.problem is None
    assert not there.is_held("study")
    with pytest.raises(ZeroDivisionError), there.hold("study", "held still"):
        raise ZeroDivisionError
    with here.hold("study", "held still"):
        pass


@pytest.mark.parametrize("put_back", [False, True])
def test_a_study_whose_folder_was_moved_is_held_no_more(tmp_path: Path, *, put_back: bool) -> None:
    place = open_place(tmp_path)
    with place.hold("study", "it is run") as hold:
        assert hold.problem is None
        (tmp_path / "study").rename(tmp_path / "moved")
        assert hold.problem == "it was moved or deleted while it was run; put it back, or run the study again"
        with place.hold("study", "it is run") as other:  # which nothing keeps away
            assert hold.problem is not None
            assert other.problem is None
        if put_back:
            shutil.rmtree(tmp_path / "study")
            (tmp_path / "moved").rename(tmp_path / "study")
            assert hold.problem is None


@pytest.mark.usefixtures("quick")
def test_a_place_that_can_be_written_to_is_left_as_it_was(machines: Machines) -> None:
    here, there = machines
    here.check("study")
    assert fetch(there, "study") == {}


OUTSIDE: list[Callable[[Place], Path]] = [
    lambda place: place.folder / "../outside",
    lambda place: place.folder / "study/../../outside",
    lambda place: place.folder.parent,
    lambda place: place.folder / "study" / ("x" * 300),
    lambda place: place.folder / "a\0b",
    lambda place: place.folder / "a\\b",
]


@pytest.mark.parametrize("outside", OUTSIDE)
def test_no_name_leads_out_of_a_bucket(address: str, outside: Callable[[Place], Path]) -> None:
    place = open_place(address)
    for act in (place.list, place.share, place.remove, place.fetch_file, place.list_folders, place.name):
        with pytest.raises(ValueError):  # noqa: PT011 (of pathlib, too)
            act(outside(place))  # type: ignore[operator]


@pytest.mark.parametrize(
    "text",
    [
        "s3://",
        "s3:///path",
        "s3://b/../c",
        "s3://b/./c",
        "s3://bucket/a//b",
        "s3://user:word@bucket/a",
        "s3://bucket/a?b",
    ],
)
def test_what_is_no_address_is_one_sentence(text: str) -> None:
    with pytest.raises(InputError, match=r"no address of results; write it as s3://bucket/path or gs://") as caught:
        open_place(text)
    assert "word" not in str(caught.value)


def test_a_file_is_no_place(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").touch()
    with pytest.raises(InputError, match=r"study\.yaml: is a file, not a folder; give the folder that has"):
        open_place(tmp_path / "study.yaml")


def test_the_end_of_a_process_frees_what_it_held_after_a_while(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(lease, "EXPIRY_SECONDS", 1.0)
    place = open_place(address)
    with place.hold("study", "taken"):  # which is renewed after five seconds, as if its process had been killed
        began = time.monotonic()
        with place.for_trials().hold("study", "taken"):
            assert 0.5 < time.monotonic() - began < 5
    assert [item.path.name for item in place.list(place.folder)] == [".lease"], "no file that only told the time"
