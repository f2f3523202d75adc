"""What can be wrong with a bucket, and what it costs to use one."""

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from harness.errors import InputError
from harness.storage import bucket as bucket_module
from harness.storage import lease, objects
from harness.storage.aws_profile import read_profile
from harness.storage.bucket import Bucket, find_fault, open_place
from harness.storage.objects import Objects, PlaceError
from tests.s3 import request, share

SECRETS = ("AKIANAME", "a-secret-key")


@pytest.fixture
def place(address: str) -> Bucket:
    opened = open_place(address)
    assert isinstance(opened, Bucket)
    return opened


# What is wrong


@pytest.fixture
def wanting_keys(place: Bucket, s3_endpoint: str) -> Iterator[None]:
    """The server knows no keys, and asks for some."""
    request(s3_endpoint, "moto-api/reset-auth", "POST", b"0")
    yield
    request(s3_endpoint, "moto-api/reset-auth", "POST", b"inf")


def refuse(place: Bucket) -> str:
    began = time.monotonic()
    with pytest.raises(PlaceError) as caught:
        place.check("study")
    assert time.monotonic() - began < 10
    said = str(caught.value)
    assert "\n" not in said
    assert not [word for word in SECRETS if word in said]
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__, "the words of the library name the key"
    return said


def test_a_bucket_that_is_not_there_is_one_sentence(place: Bucket) -> None:
    assert refuse(Bucket("s3://not-there/results")) == (
        "s3://not-there/results: there is no such bucket; make it, or correct --results"
    )


@pytest.mark.usefixtures("wanting_keys")
def test_wrong_credentials_are_one_sentence(place: Bucket) -> None:
    assert refuse(place).startswith(f"{place}: the credentials are wrong; see to AWS_ACCESS_KEY_ID and ")


def test_missing_credentials_are_one_sentence(place: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    # Where machines in the cloud ask for theirs; here, somebody who has none.
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{port}")
    assert "no credentials are found; set AWS_ACCESS_KEY_ID" in refuse(Bucket(f"{place}/without"))


def test_a_service_that_does_not_answer_is_one_sentence(place: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    assert refuse(Bucket(f"{place}/away")) == (
        f"{place}/away: the bucket does not answer; see to AWS_ENDPOINT_URL (http://127.0.0.1:{port}), and run it again"
    )


def test_a_service_that_hangs_is_one_sentence(place: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "SHORT_REQUEST_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        assert "the bucket does not answer; see to AWS_ENDPOINT_URL" in refuse(Bucket(f"{place}/hangs"))


ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n"
    b'ETag: "x"\r\nLast-Modified: Wed, 14 Oct 2009 17:50:00 GMT\r\n\r\n'
)


@contextmanager
def server(monkeypatch: pytest.MonkeyPatch, answer: Callable[[socket.socket], None]) -> Iterator[None]:
    """A service that answers one request by a function of its own."""

    def serve() -> None:
        connection, _ = listening.accept()
        with connection, suppress(OSError):
            answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{listening.getsockname()[1]}")
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        thread.join(10)


def test_a_download_may_take_long_while_bytes_come(place: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    def dribble(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(ANSWER % 12)
        for _ in range(12):
            time.sleep(0.25)
            connection.sendall(b"x")

    with server(monkeypatch, dribble):
        assert Objects(f"{place}/slow", -1.0, 2.0).read("key") == b"x" * 12


def test_a_download_that_stops_is_given_up(place: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(ANSWER % 12)
        connection.recv(1)  # until the other side closes

    with server(monkeypatch, stop), pytest.raises(PlaceError, match="the bucket does not answer"):
        Objects(f"{place}/stops", -1.0, 0.3).read("key")


@pytest.mark.parametrize(("size", "is_stored"), [(100_000, False), (8_000_000, True)])
def test_an_upload_has_its_time_by_its_size(
    place: Bucket, monkeypatch: pytest.MonkeyPatch, size: int, is_stored: bool
) -> None:
    def take(connection: socket.socket) -> None:
        num_left = size
        while num_left > 0:  # and the head, a little more
            num_left -= len(connection.recv(65_536))
        time.sleep(1.5)
        connection.sendall(ANSWER % 0)

    with server(monkeypatch, take):
        slow = Objects(f"{place}/slow-{size}", -1.0, 0.5)
        if is_stored:
            slow.write("key", bytes(size))
        else:
            with pytest.raises(PlaceError, match="the bucket does not answer"):
                slow.write("key", bytes(size))


@pytest.mark.parametrize("name", ["credential", "AccessDenied", "NoSuchBucket", "ExpiredToken"])
def test_names_are_not_taken_for_what_a_bucket_says(place: Bucket, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError):
        Objects(f"{place}/{name}", -1.0, 5.0).read(f"{name}/a key")

    def be_busy(connection: socket.socket) -> None:
        body = f"<Error><Code>SlowDown</Code><Resource>/b/{name}</Resource></Error>".encode()
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 503 Slow Down\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    for method in ("read", "list"):
        with server(monkeypatch, be_busy), pytest.raises(PlaceError, match="the bucket does not answer"):
            getattr(Objects(f"{place}/{name}/busy-{method}", -1.0, 5.0), method)(name)


def test_a_missing_package_is_one_sentence(place: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    assert refuse(Bucket(f"{place}/x")) == f"{place}/x: a bucket needs the package obstore; run `pip install obstore`"


@pytest.mark.parametrize("key", [None, "{broken", "none"])
def test_what_is_wrong_with_googles_credentials_is_one_sentence(
    key: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # where the keys of `gcloud auth` would lie
    if key is not None:
        (tmp_path / "{broken").write_text("{broken")
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / key))
    said = refuse(Bucket(f"gs://no-such/{tmp_path.parent.name.lower()}"))
    wrong = "no credentials are found; set" if key is None else "it cannot be opened; see to"
    assert said.endswith(f": {wrong} GOOGLE_APPLICATION_CREDENTIALS")


def test_a_bucket_of_google_that_is_not_there_is_one_sentence(gcs: str) -> None:
    assert (
        refuse(Bucket("gs://not-there/x")) == "gs://not-there/x: there is no such bucket; make it, or correct --results"
    )
    assert find_fault(f"{gcs}/study/.none").startswith(f"sees another {gcs}/study; set STORAGE_EMULATOR_HOST as on")


def test_a_clock_that_is_wrong_is_waited_for_and_is_one_sentence(
    place: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    from obstore.exceptions import PermissionDeniedError

    skewed = PermissionDeniedError("403 Forbidden: <Code>RequestTimeTooSkewed</Code>")
    answers: list[Exception | bytes] = [skewed, skewed, b"then"]

    def act() -> bytes:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert Objects(place.address, 5.0, 5.0)._call(act) == b"then"
    answers.append(skewed)
    with pytest.raises(PlaceError, match=r": the clock of this machine is wrong; set it, and run it again$"):
        Objects(place.address, -1.0, 5.0)._call(act)


def test_a_request_that_took_longer_than_a_bucket_is_waited_for_is_tried_again(place: Bucket) -> None:
    answers: list[Exception | bytes] = [OSError("the connection is lost"), b"then"]

    def act() -> bytes:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            time.sleep(0.6)
            raise answer
        return answer

    assert Objects(place.address, 0.5, 5.0)._call(act) == b"then"


def test_a_machine_says_why_it_cannot_store(place: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = share(place, "study/.mark")
    assert find_fault(place.name(mark)) == ""
    assert find_fault(f"{place}/study/.none").startswith(f"sees another {place}/study; set AWS_ENDPOINT_URL as on")
    assert find_fault("s3://not-there/a/.mark").startswith("cannot use s3://not-there/a: there is no such bucket")
    assert list(place.list(place.folder / "study")) == [bucket_module.Item(mark, 7, place.list(mark.parent)[0].tag)]


# The keys of a profile


def write_profile(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "credentials").write_text(
        "[default]\naws_access_key_id = DEFAULT\naws_secret_access_key = s\n"
        "[work]\naws_access_key_id = WORK\naws_secret_access_key = w\naws_session_token = t\n"
    )
    (folder / "config").write_text(
        "[default]\nregion = eu-west-1\n[profile work]\nregion = eu-north-1\n[profile sso]\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "config"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)


def test_a_profile_is_read_where_no_variable_has_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_profile(tmp_path, monkeypatch)
    assert read_profile() == {"access_key_id": "DEFAULT", "secret_access_key": "s", "region": "eu-west-1"}
    monkeypatch.setenv("AWS_PROFILE", "work")
    expected = {"access_key_id": "WORK", "secret_access_key": "w", "session_token": "t", "region": "eu-north-1"}
    assert read_profile() == expected
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    assert read_profile() == expected | {"region": "us-west-2"}
    monkeypatch.delenv("AWS_PROFILE")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "OF THE VARIABLE")
    assert read_profile() == {}


def test_a_profile_without_keys_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_profile(tmp_path, monkeypatch)
    monkeypatch.setenv("AWS_PROFILE", "sso")
    with pytest.raises(
        InputError, match=r"AWS_PROFILE=sso: no file of AWS has keys .* export-credentials --profile sso"
    ):
        read_profile()


# A bucket that is away


class Away:
    """A store whose calls fail for a while, as when the network is gone."""

    def __init__(self, num_failures: int) -> None:
        self.num_left, self.num_asked = num_failures, 0

    def __call__(self, act: Callable[..., Any]) -> Callable[..., Any]:
        def ask(*given: Any, **options: Any) -> Any:
            self.num_asked += 1
            if self.num_left > 0:
                self.num_left -= 1
                raise OSError("error sending request")
            return act(*given, **options)

        return ask


def test_a_bucket_that_is_away_for_a_while_is_waited_for(place: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    import obstore

    monkeypatch.setattr(objects, "MAX_PAUSE", 0.05)
    away = Away(5)
    monkeypatch.setattr(obstore, "put", away(obstore.put))
    share(place, "study/a.txt")
    assert away.num_asked == 6
    assert place.read_start(place.folder / "study/a.txt", 9) == b"content"


def test_a_bucket_that_is_gone_for_good_is_one_sentence(place: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    import obstore

    monkeypatch.setattr(obstore, "put", Away(10**6)(obstore.put))
    with pytest.raises(PlaceError, match=r"does not answer; see to AWS_ENDPOINT_URL .*, and run it again"):
        Objects(place.address, 0.3, 5.0).write("a", b"")


def test_a_lease_outlasts_a_lost_answer_and_notices_that_another_has_it(
    place: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.05)
    opened = Objects(place.address, 0.0, 5.0)
    with lease.Lease(opened, "x/.lease").held("taken") as _:
        pass
    one = lease.Lease(opened, "y/.lease")
    with one.held("taken"):
        # A write of its own whose answer was lost: the version that it knows is not the one that is there.
        one._version = {"e_tag": '"another"'}
        time.sleep(0.3)
        assert one.problem is None
        deadline = time.monotonic() + 10
        while one.problem is None and time.monotonic() < deadline:
            opened.write("y/.lease", b'{"id": "another"}')
            time.sleep(0.05)
        assert "another process has taken the study over" in str(one.problem)
    assert opened.read("y/.lease") == b'{"id": "another"}', "it is the other's, and stays"


# What it costs, and what is not to be trusted


def test_what_is_here_is_not_fetched_again(place: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    path = share(place, "study/a.txt")
    asked: list[str] = []
    read = Objects.read
    monkeypatch.setattr(Objects, "read", lambda self, key: asked.append(key) or read(self, key))
    place.fetch(place.list(path.parent))
    assert asked == []
    path.write_bytes(b"changed")  # as many bytes
    place.fetch(place.list(path.parent))
    assert asked == ["study/a.txt"]
    assert path.read_bytes() == b"content"


def test_keys_that_lead_elsewhere_are_passed_over(place: Bucket, s3_endpoint: str) -> None:
    bucket = place.address.split("/")[2]
    share(place, "study/a.txt")
    for key in ("study/a%5Cb", "study/" + 250 * "x"):
        request(s3_endpoint, f"{bucket}/results/{key}", "PUT", b"evil")
    assert [item.path.name for item in place.list(place.folder / "study")] == ["a.txt"]


@pytest.mark.parametrize("key", ["study/%2e%2e/%2e%2e/evil.txt", "study//evil.txt"])
def test_a_key_that_is_no_path_is_one_sentence(place: Bucket, s3_endpoint: str, key: str) -> None:
    request(s3_endpoint, f"{place.address.split('/')[2]}/results/{key}", "PUT", b"evil")
    with pytest.raises(PlaceError, match=r"it holds a key that is no path, with // or \.\. in it; delete that object$"):
        place.list(place.folder / "study")


def test_processes_that_train_have_folders_of_their_own_and_leave_none(
    place: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    make = bucket_module._make_scratch.__wrapped__
    mine = make()
    assert mine.stat().st_mode & 0o777 == 0o755 or mine.stat().st_mode & 0o077 == 0
    assert mine.parent.stat().st_mode & 0o077 == 0, "nobody else reads what is in it"
    ended = mine.with_name(f"{socket.gethostname()}-{2**22 + 1}")  # more than Linux has
    elsewhere = mine.with_name(f"another-host-{2**22 + 1}")
    for folder in (ended, elsewhere):
        folder.mkdir()
    (mine / "of a process that had this number before").touch()
    assert make() == mine
    assert (list(mine.iterdir()), ended.exists(), elsewhere.exists()) == ([], False, True)


def test_many_threads_may_share_at_once(place: Bucket) -> None:
    paths = [place.folder / f"study/{i}" for i in range(30)]
    (place.folder / "study").mkdir(parents=True)
    for path in paths:
        path.write_text(path.name)
    threads = [threading.Thread(target=place.share, args=paths[i::3]) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    there = place.for_trials()
    there.fetch(there.list(there.folder))
    assert sorted(path.read_text() for path in (there.folder / "study").iterdir()) == sorted(
        path.name for path in paths
    )
