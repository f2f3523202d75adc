"""Datasets in idx files: what is loaded, what is refused, and where files are looked for."""

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import datasets
from harness.datasets import fetch_dataset, load_dataset, locate_dataset, make_dataset, verify_dataset
from harness.errors import InputError
from tests.harness.datasets.small_idx import (
    CONTENTS,
    FASHION_CONTENTS,
    FOLDERS,
    GOOD,
    IMAGES,
    NUM_TEST,
    NUM_TRAIN,
    SPECS,
    put,
    zipped,
    zipped_in_members,
)

# idx files that are right


def dotted(contents: dict[str, bytes]) -> dict[str, bytes]:
    return {name.replace("-idx", ".idx"): content for name, content in contents.items()}


@pytest.mark.parametrize("pack", [dict, zipped, zipped_in_members, dotted, lambda contents: zipped(dotted(contents))])
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


def test_the_folder_may_be_given_as_text(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(small / "mnist", CONTENTS)
    monkeypatch.setenv("HOME", str(small.parent))
    for given in (small, str(small), f"~/{small.name}"):
        assert load_dataset("mnist", given).content_hash == SPECS["mnist"].content_hash


def test_loaded_arrays_are_read_only(small: Path) -> None:
    put(small, CONTENTS)
    for dataset in (load_dataset("mnist", small), load_dataset("digits")):
        with pytest.raises(ValueError, match="read-only"):
            dataset.train_images[0] = 0


def with_channels_last(images: np.ndarray) -> np.ndarray:
    return images.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)


@pytest.mark.parametrize("lay", [np.asfortranarray, with_channels_last, None])
def test_arrays_lie_as_training_reads_them_however_they_were_given(
    tmp_path: Path, lay: Callable[[np.ndarray], np.ndarray] | None
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 2), np.uint8)
    labels = np.arange(5, dtype=np.uint8)
    expected = make_dataset("mine", images.copy(), labels, images.copy(), labels)
    np.save(tmp_path / "mine.npy", images)
    given = lay(images) if lay else np.load(tmp_path / "mine.npy", mmap_mode="r")
    dataset = make_dataset("mine", given, labels, given[:], labels)
    assert dataset.content_hash == expected.content_hash
    for array in (dataset.train_images, dataset.test_images):
        assert type(array) is np.ndarray
        assert array.flags.c_contiguous
        np.testing.assert_array_equal(array, images)


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
    for ask in (load_dataset, locate_dataset, verify_dataset):
        with pytest.raises(InputError, match="'minst'; choose one of: digits, mnist, fashion-mnist"):
            ask("minst")
    with pytest.raises(InputError, match=r"'\.\./mnist'"):
        fetch_dataset("../mnist", on_progress=print)


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
