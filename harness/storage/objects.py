"""The objects of a bucket, through obstore: each is whole or not there, and what goes wrong is said in one sentence."""

import json
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from harness.errors import InputError
from harness.proxies import spare_this_machine
from harness.storage.aws_profile import read_profile

if TYPE_CHECKING:
    from obstore.store import ObjectStore

PATIENCE_SECONDS = 300.0
"""How long a bucket that does not answer is waited for, once it has answered; training waits meanwhile."""

SILENT = "the bucket does not answer"
"""How the sentence of such a PlaceError begins, by which a driver knows it of another process."""

CHECK_SECONDS = 3.0
"""How long one is waited for of which it is only asked whether it can be used: it may be busy for a moment."""

REQUEST_SECONDS, SHORT_REQUEST_SECONDS, CONNECT_SECONDS = 60.0, 5.0, 3.0
"""Seconds for which a request may be silent; an upload, which is silent until it has ended, has more by its size."""

LONGEST = timedelta(days=1)  # of a download whose bytes come
SLOWEST = 1_000_000  # bytes per second of an upload
MAX_PAUSE = 5.0  # seconds between two tries
AT_ONCE = 16  # requests

Version = dict[str, str]
"""Which of the contents that an object has had, as the bucket names it."""

T = TypeVar("T")
U = TypeVar("U")


class PlaceError(InputError, OSError):
    """A bucket that cannot be used: why, and what helps."""


@dataclass(frozen=True)
class Listed:
    """An object of a bucket."""

    key: str
    size: int  # bytes
    tag: str  # of S3, the MD5 of its content, unless the bucket encrypts it by a key of the user's


class Objects:
    """The objects of a bucket below an address such as s3://bucket/path; keys are relative to it.

    A method that gets no answer tries again. Each may raise PlaceError: the bucket does not answer for too long, or
    refuses.
    """

    def __init__(self, address: str, patience: float, seconds: float) -> None:
        """patience: seconds for which a bucket that does not answer is tried again. seconds: of a request's silence."""
        self.address, self._patience, self._seconds = address, patience, seconds
        spare_this_machine()
        self._store = _open_store(address, seconds)

    def list(self, folder: str = "") -> list[Listed]:
        """List the objects of a folder and of all below it."""
        import obstore

        def act() -> list[Listed]:
            return [_describe(meta) for part in obstore.list(self._store, folder or None) for meta in part]

        return self._call(act)

    def list_level(self, folder: str = "") -> tuple[Sequence[str], Sequence[Listed]]:
        """List the names of a folder's folders, and the objects in it."""
        import obstore

        found = self._call(lambda: obstore.list_with_delimiter(self._store, folder or None))
        names = [prefix.rstrip("/").rpartition("/")[2] for prefix in found["common_prefixes"]]
        return names, [_describe(meta) for meta in found["objects"]]

    def read(self, key: str, length: int | None = None) -> bytes:
        """Read an object, or its first bytes.

        Raises:
            FileNotFoundError: there is none.
        """
        import obstore

        if length is not None:
            return self._call(lambda: bytes(obstore.get_range(self._store, key, start=0, length=length)))
        return self._call(lambda: bytes(obstore.get(self._store, key).bytes()))

    def read_version(self, key: str) -> tuple[bytes, Version, datetime]:
        """Read an object with its version, and when it was written, by the bucket's clock.

        Raises:
            FileNotFoundError: there is none.
        """
        import obstore

        def act() -> tuple[bytes, Version, datetime]:
            found = obstore.get(self._store, key)
            return bytes(found.bytes()), _name_version(found.meta), found.meta["last_modified"]

        return self._call(act)

    def write(self, key: str, content: bytes) -> None:
        """Write an object."""
        import obstore

        # In one part: the tag of an object of several is not the MD5 of its content.
        store = self._open_for(content)
        self._call(lambda: obstore.put(store, key, content, use_multipart=False))

    def write_if(self, key: str, content: bytes, version: Version | None) -> Version | None:
        """Write an object that still has a version, or, with None, that is not there yet; returns its new version.

        None: it has another version by now, which may be ours, by a write whose answer was lost.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        mode: Any = "create" if version is None else version
        store = self._open_for(content)
        try:
            put = self._call(lambda: obstore.put(store, key, content, mode=mode, use_multipart=False))
        except (AlreadyExistsError, PreconditionError, FileNotFoundError):
            return None
        return _name_version(put)

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; those that are not there are passed over."""
        import obstore

        def act(keys: Sequence[str]) -> None:
            with suppress(FileNotFoundError):
                self._call(lambda: obstore.delete(self._store, list(keys)))

        if self.address.startswith("gs://"):  # which stops at the first that is not there
            in_parallel(lambda key: act([key]), keys)
        elif keys:
            act(keys)

    def _open_for(self, content: bytes) -> "ObjectStore":
        """The bucket, for an upload of this size."""
        return _open_store(self.address, self._seconds * (1 + len(content) // int(self._seconds * SLOWEST)))

    def _call(self, act: Callable[[], T]) -> T:
        from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

        deadline, pause = 0.0, 0.1
        while True:
            try:
                return act()
            except (AlreadyExistsError, PreconditionError):
                raise
            except (BaseError, OSError) as error:
                fault = _explain(error, self.address)
                deadline = deadline or time.monotonic() + self._patience  # an upload may have taken longer by itself
                if fault is None and isinstance(error, FileNotFoundError):
                    raise FileNotFoundError(f"{self.address}: no such object") from None
                if fault not in (None, WRONG_CLOCK) or time.monotonic() >= deadline:
                    # Not chained: the library's own words hold the name of the key.
                    raise PlaceError(f"{self.address}: {fault or _describe_silence(self.address)}") from None
            time.sleep(pause)
            pause = min(2 * pause, MAX_PAUSE)


def in_parallel(work: Callable[[U], T], items: Iterable[U]) -> list[T]:
    """Do something for many items, as most of the time is spent waiting for the bucket."""
    items = list(items)
    if len(items) < 2:
        return [work(item) for item in items]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(work, items))


@dataclass(frozen=True)
class Service:
    """What the user sets for a kind of bucket."""

    keys: str  # the variables that have the credentials, or name their file
    endpoints: tuple[str, ...]  # those that name another service like it; the first that is set counts
    opening: str  # those that count as a bucket is opened


SERVICES: Mapping[str, Service] = {
    "s3": Service(
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or {to}AWS_PROFILE",
        ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
        "AWS_ENDPOINT_URL, AWS_REGION and the credentials",
    ),
    "gs": Service("GOOGLE_APPLICATION_CREDENTIALS", ("STORAGE_EMULATOR_HOST",), "GOOGLE_APPLICATION_CREDENTIALS"),
}
"""By the scheme of an address."""

WRONG_CLOCK = "the clock of this machine is wrong; set it, and run it again"
"""Waited for: clocks that jump are set right in a while."""

FAULTS: Mapping[str, str] = {
    r"NoSuchBucket": "there is no such bucket; make it, or correct --results",
    r"RequestTimeTooSkewed": WRONG_CLOCK,
    r"InvalidAccessKeyId|SignatureDoesNotMatch|InvalidToken|AuthorizationHeaderMalformed|Unauthenticated|401 Unauth": (
        "the credentials are wrong; see to {keys}"
    ),
    r"ExpiredToken|TokenRefreshRequired": "the credentials have expired; log in again, and run it again",
    r"/latest/(api/token|meta-data)|/computeMetadata/|credential": ("no credentials are found; set {keys}"),
    r"PermanentRedirect|IllegalLocationConstraint|301 Moved|incorrect(ly configured)? region": (
        "the bucket is in another region; set AWS_REGION to it"
    ),
    r"AccessDenied|403 Forbidden|PermissionDenied": (
        "these credentials may not use it; allow them to list, read, write and delete objects there"
    ),
    r"parsing Path|invalid path": "it holds a key that is no path, with // or .. in it; delete that object",
    r"NoSuchKey": "",
    r"404 Not Found": "no bucket answers there; correct --results or {endpoint}",
}
"""Patterns in what a bucket says, and what it means; what is none of these may pass."""


def _explain(error: Exception, address: str) -> str | None:
    """What is wrong with a bucket and what helps; None where it may pass, or where the object is missing."""
    said = _leave_out_names(str(error), address)
    meaning = next((meaning for pattern, meaning in FAULTS.items() if re.search(pattern, said)), "")
    service = _serve(address)
    keys = service.keys.format(to="to " if "see to" in meaning else "")
    return meaning.format(keys=keys, endpoint=service.endpoints[-1]) or None


def _leave_out_names(said: str, address: str) -> str:
    """What a bucket says, without its own address and the keys of its objects, which may be called anything."""
    bucket = re.escape(address.split("/")[2])
    names = (
        rf"https?://(?:{bucket}\.[^/\s]+|[^/\s]+/{bucket})(?=[/?\s])\S*",
        r"(?<= at location ).*?(?= not found:| already exists:)",
        r"(?<= for path ).*?(?=: Error performing)",
        r"(?<= Path )\".*?\"",
        r"<(Key|Resource|BucketName|Bucket|Details|CanonicalRequest|StringToSign)>.*?</\1>",
    )
    return re.sub("|".join(names), "", said.partition("\n\nDebug source:")[0], flags=re.DOTALL)


def _serve(address: str) -> Service:
    return SERVICES[address.partition("://")[0]]


def _describe_silence(address: str) -> str:
    endpoint = find_endpoint(address)
    where = f"{_serve(address).endpoints[-1]} ({endpoint})" if endpoint else "the network"
    return f"{SILENT}; see to {where}, and run it again"


def _describe(meta: Any) -> Listed:
    return Listed(meta["path"], meta["size"], str(meta["e_tag"] or "").strip('"'))


def _name_version(meta: Any) -> Version:
    return {name: meta[name] for name in ("e_tag", "version") if meta[name]}


@lru_cache(maxsize=8)
def _open_store(address: str, seconds: float) -> "ObjectStore":
    """Open a bucket; nothing is asked of it yet. seconds: of a request's silence."""
    try:
        from obstore.exceptions import BaseError
        from obstore.store import from_url

        make: Any = from_url
    except ModuleNotFoundError:
        raise PlaceError(f"{address}: a bucket needs the package obstore; run `pip install obstore`") from None
    settings: dict[str, Any] = {}
    endpoint = find_endpoint(address)
    if address.startswith("s3://"):
        settings |= read_profile()
        if endpoint:
            settings["endpoint"] = endpoint
    elif endpoint:  # without credentials, as Google's own libraries take it
        nobody = dict.fromkeys(("private_key", "private_key_id", "client_email"), "")
        settings["service_account_key"] = json.dumps(nobody | {"gcs_base_url": endpoint, "disable_oauth": True})
    options: dict[str, Any] = {
        "timeout": LONGEST,
        "read_timeout": timedelta(seconds=seconds),
        "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
        "allow_http": (endpoint or "").startswith("http://"),
    }
    try:
        # What may pass is tried again here, and not in the library as well.
        store: ObjectStore = make(address, client_options=options, retry_config={"max_retries": 0}, **settings)
    except (BaseError, ValueError, OSError):
        raise PlaceError(f"{address}: it cannot be opened; see to {_serve(address).opening}") from None
    return store


def find_endpoint(address: str) -> str | None:
    """The address of another service like that of a bucket, where the user names one."""
    named = next(filter(None, map(os.environ.get, _serve(address).endpoints)), None)
    return named if named is None or "://" in named else f"http://{named}"
