"""Results in a bucket, such as s3://bucket/path: a folder of this machine holds what is worked on."""

import hashlib
import os
import re
import shutil
import socket
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

import psutil

from harness.errors import InputError
from harness.paths import parse_path, user_cache
from harness.storage import objects
from harness.storage.lease import Lease, is_fresh
from harness.storage.local import check_writable, is_locked, locked, make_private, private_folder, write_copy
from harness.storage.objects import Listed, Objects, PlaceError, in_parallel
from harness.storage.place import LOCK, Folder, Hold, Item, Place

SCHEME = r"(s3|gs)://"
ADDRESS = re.compile(rf"{SCHEME}[a-z0-9][a-z0-9._-]+(/[\w.=+-]+)*", re.ASCII)

LEASE = ".lease"
"""In the folder of a study in the bucket: who works on it."""

SCRATCH_BYTES = 64_000_000  # that a process needs on its machine's disk, where its trial is worked on

SEGMENT = re.compile(r"[^/\\\0]{1,200}")


@dataclass(frozen=True)
class Bucket:
    """A part of a bucket. On this machine its files are in the user's cache, or, of trials, in a temporary folder.

    Any method may raise PlaceError: the bucket refuses, or has not answered for minutes.
    """

    address: str  # s3://bucket/path, without a slash at its end
    is_of_trials: bool = False
    is_remote = True

    def __post_init__(self) -> None:
        if not ADDRESS.fullmatch(self.address) or not _are_names(self.address.split("/")[3:]):
            raise InputError(f"{self.address}: no address of results; write it as s3://bucket/path or gs://bucket/path")

    def __str__(self) -> str:
        return self.address

    @property
    def folder(self) -> Path:
        """See Place. Processes that train have one each, as no two train the same."""
        name = hashlib.sha256(self.address.encode()).hexdigest()[:16]
        if self.is_of_trials:
            return _make_scratch() / name
        return user_cache() / "results" / name

    @property
    def _objects(self) -> Objects:
        return _open(self.address, objects.PATIENCE_SECONDS, objects.REQUEST_SECONDS)

    def check(self, study: str = "", patience: float = objects.CHECK_SECONDS) -> None:
        """See Place: within seconds. patience: how many a bucket that does not answer is waited for."""
        first = _open(self.address, patience, objects.SHORT_REQUEST_SECONDS)
        probe = "/".join(filter(None, (study, f".probe-{uuid.uuid4().hex}")))
        first.write(probe, b"")
        first.list_level(study)
        first.delete([probe])

    def list_folders(self, folder: Path) -> Sequence[str]:
        """See Place."""
        return sorted(name for name in self._objects.list_level(self._key(folder))[0] if _are_names([name]))

    def list(self, folder: Path, *, deep: bool = True) -> Sequence[Item]:
        """See Place. Objects whose keys are no paths below the folder are passed over."""
        key = self._key(folder)
        listed = self._objects.list(key) if deep else self._objects.list_level(key)[1]
        return [item for one in listed if (item := self._locate(one)) is not None]

    def fetch(self, items: Iterable[Item]) -> None:
        """See Place."""
        in_parallel(self._fetch, [item for item in items if not _is_here(item)])

    def _fetch(self, item: Item) -> None:
        try:
            content = self._objects.read(self._key(item.path))
        except FileNotFoundError:  # deleted meanwhile
            return
        write_copy(item.path, content)

    def fetch_file(self, path: Path) -> None:
        """See Place."""
        self._fetch(Item(path, 0, ""))

    def read_start(self, path: Path, length: int) -> bytes:
        """See Place."""
        return self._objects.read(self._key(path), length)

    def share(self, *paths: Path) -> None:
        """See Place."""
        in_parallel(lambda path: self._objects.write(self._key(path), path.read_bytes()), paths)

    def write(self, path: Path, content: bytes) -> None:
        """See Place."""
        self._objects.write(self._key(path), content)

    def remove(self, *paths: Path) -> None:
        """See Place."""
        for path in paths:
            path.unlink(missing_ok=True)
        self._objects.delete([self._key(path) for path in paths])

    @contextmanager
    def hold(self, study: str, refusal: str) -> Iterator[Hold]:
        """See Place: on this machine by a lock, and for all others by a lease."""
        with locked(self.folder / study / LOCK, refusal=refusal):
            lease = Lease(_open(self.address, 0.0, objects.SHORT_REQUEST_SECONDS), f"{study}/{LEASE}")
            with lease.held(refusal):
                yield lease

    def is_held(self, study: str) -> bool:
        """See Place."""
        return is_locked(self.folder / study / LOCK) or is_fresh(self._objects, f"{study}/{LEASE}")

    def name(self, path: Path) -> str:
        """See Place."""
        return f"{self.address}/{self._key(path)}"

    def for_trials(self) -> "Bucket":
        """See Place."""
        return Bucket(self.address, is_of_trials=True)

    def _key(self, path: Path) -> str:
        """The key of a file of this machine.

        Raises:
            ValueError: it is not in the folder, or has a name that no key may have.
        """
        names = path.relative_to(self.folder).parts
        if not _are_names(names):
            raise ValueError(f"{path}: no path below {self.folder}")
        return "/".join(names)

    def _locate(self, listed: Listed) -> Item | None:
        names = PurePosixPath(listed.key).parts
        if not _are_names(names) or "/".join(names) != listed.key:
            return None
        return Item(self.folder.joinpath(*names), listed.size, listed.tag)


def _are_names(names: Iterable[str]) -> bool:
    """Whether each is the name of a file or a folder, and leads nowhere else."""
    return all(SEGMENT.fullmatch(name) and name not in (".", "..") for name in names)


def _is_here(item: Item) -> bool:
    """Whether a file is here as the bucket has it, as far as the bucket says what it has."""
    try:
        if item.path.stat().st_size != item.size:
            return False
        return hashlib.md5(item.path.read_bytes(), usedforsecurity=False).hexdigest() == item.tag
    except OSError:
        return False


def open_place(text: str | os.PathLike[str]) -> Place:
    """The place of results that a user names: a folder, s3://bucket/path or gs://bucket/path.

    Raises:
        InputError: it is none.
    """
    address = os.fspath(text)
    if re.match(SCHEME, address):
        return Bucket(address.rstrip("/"))
    folder = parse_path(text)
    if folder.is_file():
        raise InputError(f"{text}: is a file, not a folder; give the folder that has a folder for each study")
    return Folder(folder)


def find_fault(mark: str, patience: float = objects.CHECK_SECONDS) -> str:
    """Why this machine cannot store a study beside a file that another one has put there; empty where it can.

    mark: the file's path, or its address in a bucket. patience: seconds for which a bucket that does not answer is
    waited for.
    """
    place, _, name = mark.rpartition("/")
    if "://" not in mark:
        fix = "give --results a folder that every machine of the cluster shares, such as one on NFS, or a bucket"
        return "" if Path(mark).exists() else f"does not see {place}; {fix}"
    try:
        _check_scratch()
        bucket = Bucket(place)
        bucket.check(patience=patience)
        _open(place, patience, objects.SHORT_REQUEST_SECONDS).read(name)
    except FileNotFoundError:
        endpoint = objects.SERVICES[place.partition("://")[0]].endpoints[-1]
        return f"sees another {place}; set {endpoint} as on the machine that starts the study"
    except InputError as error:
        return f"cannot use {error}"
    return ""


def _check_scratch() -> None:
    """Check that trials can be worked on here.

    Raises:
        InputError: there is no room.
    """
    try:
        folder = Path(tempfile.gettempdir())
    except FileNotFoundError:  # as it is where all of them are full
        raise InputError("any temporary folder; free some space, or set TMPDIR to a folder with room") from None
    check_writable(folder, SCRATCH_BYTES, option="TMPDIR")


@lru_cache(maxsize=8)
def _open(address: str, patience: float, seconds: float) -> Objects:
    return Objects(address, patience, seconds)


@lru_cache(maxsize=1)
def _make_scratch() -> Path:
    """Make a folder for this process, and delete those of processes that have ended.

    Raises:
        PlaceError: it cannot be made, or another user has taken its name.
    """
    root = private_folder(Path(tempfile.gettempdir()))
    try:
        make_private(root)
    except InputError as error:
        raise PlaceError(str(error)) from None
    host = socket.gethostname()  # containers may share the folder, but not their processes' numbers
    for other in root.glob(f"{host}-*"):
        number = other.name.removeprefix(f"{host}-")
        if number.isdecimal() and not psutil.pid_exists(int(number)):
            shutil.rmtree(other, ignore_errors=True)
    mine = root / f"{host}-{os.getpid()}"
    shutil.rmtree(mine, ignore_errors=True)  # of a process that had this number before
    mine.mkdir()
    return mine
