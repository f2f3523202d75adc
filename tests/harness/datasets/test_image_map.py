"""Datasets on the disk: made in parts, resumed, checked, and read by other processes from the same file."""

import errno
import json
import os
import pickle
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from harness import datasets, paths
from harness.datasets import identify_dataset, load_dataset, locate_dataset, verify_dataset
from harness.datasets.image_map import hash_arrays, is_made, make_map, verify_map
from harness.datasets.mapped import MappedDataset, open_map
from harness.errors import InputError
from harness.worker.images import Images, StoredImages
from models.training.fit import fit
from models.training.state import init_state
from tests.models.cases import assert_same_tensors, make_settings

NUM_TRAIN, NUM_TEST = 70, 30


@dataclass(frozen=True)
class Stripes:
    """A hundred images of 2x3, each of one colour."""

    name: str = "stripes"
    content_hash: str = "all stripes"
    sha256: str | None = None
    num_train: int = NUM_TRAIN
    num_test: int = NUM_TEST
    image_shape: tuple[int, int, int] = (3, 2, 3)
    attributes: tuple[str, ...] = ("shade", "tens")
    factors: tuple[str, ...] = ()
    label: str = "tens"
    is_packed: bool = False
    verb: str = "striped"
    num_at_once: int = 40
    painted: list[int] = field(default_factory=list, compare=False)
    fails_at: int | None = None

    def find_painter(self, data_dir: Path | None) -> "Stripes":
        return self

    def paint(self, numbers: range, images: NDArray[np.uint8], attributes: NDArray[np.uint8]) -> None:
        if numbers.start == self.fails_at:
            raise InputError("the sun went down")
        self.painted.append(numbers.start)
        for number in numbers:
            images[number], attributes[number] = number, (number, number // 10)


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine of one core, so that the list of what was painted is ours."""
    monkeypatch.setattr("harness.datasets.image_map.count_cores", lambda: 1)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("SPIKESLAB_DATA", raising=False)
    monkeypatch.setattr(paths, "user_cache", lambda: tmp_path / "cache")
    return tmp_path / "cache" / "maps" / "stripes"


def make(spec: Stripes, folder: Path) -> list[tuple[str, int, int]]:
    reports: list[tuple[str, int, int]] = []
    make_map(spec, spec, folder, lambda *report: reports.append(report))
    return reports


def test_a_map_holds_the_images_in_order_and_says_how_far_it_is(tmp_path: Path) -> None:
    assert make(Stripes(), tmp_path) == [("stripes: images striped", n, 100) for n in (0, 40, 80, 100)]
    dataset = open_map(Stripes(), tmp_path)
    assert dataset.train_images.shape == (NUM_TRAIN, 3, 2, 3)
    assert (dataset.train_images == np.arange(70)[:, None, None, None]).all()
    assert (dataset.test_images == np.arange(70, 100)[:, None, None, None]).all()
    assert dataset.train_labels.tolist() == [k // 10 for k in range(70)]
    assert dataset.test_labels.tolist() == [k // 10 for k in range(70, 100)]
    assert dataset.content_hash == "all stripes"
    assert isinstance(dataset.train_images, np.memmap)
    assert not dataset.train_images.flags.writeable
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".lock",
        "attributes.npy",
        "images.npy",
        "manifest.json",
    ]
    assert make(spec := Stripes(), tmp_path) == []
    assert spec.painted == []


def test_what_was_made_before_an_interruption_is_not_made_again(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the sun went down"):
        make(Stripes(fails_at=80), tmp_path)
    assert not is_made(Stripes(), tmp_path)
    again = Stripes()
    assert make(again, tmp_path)[0] == ("stripes: images striped", 80, 100)
    assert again.painted == [80]
    fresh = tmp_path / "fresh"
    make(Stripes(), fresh)
    assert (fresh / "images.npy").read_bytes() == (tmp_path / "images.npy").read_bytes()


@pytest.mark.parametrize("is_begun", [False, True])
def test_a_disk_that_fills_meanwhile_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_begun: bool
) -> None:
    if is_begun:
        with pytest.raises(InputError, match="the sun went down"):
            make(Stripes(fails_at=80), tmp_path)

    def fill(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", fill)
    with pytest.raises(InputError, match=rf"^{tmp_path} cannot be written \(No space left on device\); make it else"):
        make(again := Stripes(), tmp_path)
    assert again.painted == []


def test_a_map_has_all_its_blocks_before_it_is_painted_where_the_disk_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []

    def refuse(_: int, first: int, size: int) -> None:
        taken.append(first + size)
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    make(Stripes(), tmp_path)
    assert taken == [(tmp_path / name).stat().st_size for name in ("images.npy", "attributes.npy")]


@dataclass(frozen=True)
class KilledStripes(Stripes):
    def paint(self, numbers: range, images: NDArray[np.uint8], attributes: NDArray[np.uint8]) -> None:
        if numbers.start == 80:
            os.kill(os.getpid(), signal.SIGBUS)
        super().paint(numbers, images, attributes)


def test_a_process_that_is_killed_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.datasets.image_map.count_cores", lambda: 2)
    with pytest.raises(InputError, match=r"^stripes: a process that made its images was killed, perhaps for lack of"):
        make(KilledStripes(), tmp_path)


def test_parts_of_another_recipe_are_not_used(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the sun went down"):
        make(Stripes(fails_at=80, content_hash="other stripes"), tmp_path)
    make(spec := Stripes(), tmp_path)
    assert spec.painted == [0, 40, 80]


def test_images_that_came_out_otherwise_are_refused_and_removed(tmp_path: Path) -> None:
    make(Stripes(), tmp_path / "right")
    right = json.loads((tmp_path / "right" / "manifest.json").read_text())["sha256"]
    make(Stripes(sha256=right), tmp_path / "same")
    with pytest.raises(InputError, match=f"stripes: its images came out with the SHA-256 {right[:12]}..., not 00000"):
        make(Stripes(sha256="0" * 64), tmp_path / "other")
    assert [path.name for path in (tmp_path / "other").iterdir()] == [".lock"]


def test_the_hash_tells_shapes_and_bytes(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.uint8)
    hashes = {hash_arrays(a) for a in (array, array.reshape(2, 3), array.reshape(3, 2), array[::-1].copy())}
    assert len(hashes) == 4


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (
            lambda file: file.write_bytes(file.read_bytes()[:-1]),
            "images.npy is not as it was made: it is missing or cut",
        ),
        (lambda file: file.unlink(), "images.npy is not as it was made: it is missing or cut"),
        (lambda file: file.write_bytes(file.read_bytes()[:-1] + b"\x07"), "is not as it was made: SHA-256 is"),
        (lambda file: np.save(file, np.zeros((3, 3), np.uint8)), r"it has the shape \(3, 3\)"),
    ],
)
def test_a_damaged_map_is_found(tmp_path: Path, damage: Callable[[Path], object], problem: str) -> None:
    make(Stripes(), tmp_path)
    assert all(check.ok for check in verify_map(Stripes(), tmp_path))
    damage(tmp_path / "images.npy")
    (check,) = verify_map(Stripes(), tmp_path)
    with pytest.raises(InputError, match=problem):
        raise InputError(check.problem or "")
    assert "spikeslab data fetch stripes" in (check.problem or "")


def test_a_disk_without_room_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1_999})())
    with pytest.raises(InputError, match=r"the images take 0.0 GB, but its disk has 0.0 GB free; free some"):
        make(Stripes(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    fix = "make it elsewhere: spikeslab data fetch stripes --data DIR, and run with --data DIR"
    with pytest.raises(InputError, match=rf"file/maps cannot be written \(Not a directory\); {fix}"):
        make(Stripes(), tmp_path / "file" / "maps")


def test_another_process_gets_the_file_not_a_copy(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Ray hands a dataset to trials."""
    monkeypatch.setattr(datasets, "_MAP_SPECS", {"stripes": Stripes()})
    here = load_dataset("stripes")
    sent = pickle.dumps(here)
    assert len(sent) < 1_000
    there = pickle.loads(sent)
    assert isinstance(there, MappedDataset)
    assert there.train_images.filename == here.train_images.filename == cache / "images.npy"
    # On a machine that has no such folder it is made there.
    (cache / "manifest.json").unlink()
    assert (pickle.loads(sent).test_images == here.test_images).all()
    # What it is made of is looked for where the user said.
    assert pickle.loads(pickle.dumps(load_dataset("stripes", tmp_path))).data_dir == tmp_path


def test_held_out_images_of_a_map_are_no_copy(tmp_path: Path) -> None:
    make(Stripes(), tmp_path)
    images = Images.of(open_map(Stripes(), tmp_path), 20, "cpu")
    assert images.validation is not None
    assert isinstance(images.train, StoredImages)
    assert images.train.whole.flatten(1)[:, 0].tolist() == list(range(50))
    assert images.validation.flatten(1)[:, 0].tolist() == list(range(50, 70))
    assert images.train_labels.tolist() == [k // 10 for k in range(50)]
    assert images.train_factors is None
    assert images.validation.data_ptr() - images.train.whole.data_ptr() == 50 * 18


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells of mapped pages on Linux alone")
def test_images_of_a_map_are_read_from_its_file_and_nothing_is_mapped_for_good(tmp_path: Path) -> None:
    path = tmp_path / "some.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (400, 3, 32, 32), np.uint8))
    whole = torch.from_numpy(np.load(path))
    images = StoredImages(np.load(path, mmap_mode="r")[100:])
    assert (images.shape, images.device, len(images)) == (whole[100:].shape, whole.device, 300)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(0))
    assert torch.equal(images[order], whole[100:][order])
    assert torch.equal(torch.cat(list(images.split(70))), whole[100:])
    of_map = Path("/proc/self/smaps").read_text().split(str(path))[1]
    assert int(of_map.split("Rss:")[1].split()[0]) < 100, "kB, of 1,200"
    with path.open("r+b") as file:
        file.truncate(128 + 300 * 3_072)
    assert torch.equal(images[torch.tensor([199])], whole[299:300])
    with pytest.raises(OSError, match=r"ends before image 200: it was cut after training began"):
        images[torch.tensor([200])]


@pytest.mark.parametrize("kind", [{"binarisation": "dynamic"}, {"likelihood": "gaussian"}], ids=["stack", "autograd"])
def test_training_on_a_map_gives_the_same_bits_as_on_a_tensor(kind: dict[str, Any], tmp_path: Path) -> None:
    make(Stripes(), tmp_path)
    mapped = Images.of(open_map(Stripes(), tmp_path), 0, "cpu").train
    settings = make_settings("vsc_sigmoid", epochs=2, batch_size=20, **kind)
    assert isinstance(mapped, StoredImages)
    states = [init_state(settings, (3, 2, 3)) for _ in range(2)]
    for state, images in zip(states, (mapped, mapped.whole.clone()), strict=True):
        list(fit(state, settings, images))
    assert_same_tensors(states[0].tensors(), states[1].tensors())


def test_factors_are_the_attributes_of_images_that_show_every_combination(tmp_path: Path) -> None:
    spec = Stripes(factors=("shade", "tens"))
    make(spec, tmp_path)
    dataset = open_map(spec, tmp_path)
    assert dataset.factors == ("shade", "tens")
    assert dataset.train_factors is not None
    assert dataset.train_factors.tolist() == [[k, k // 10] for k in range(NUM_TRAIN)]
    kept = Images.of(dataset, 20, "cpu").train_factors
    assert kept is not None
    assert len(kept) == 50


def test_a_map_is_loaded_where_it_is_and_made_where_it_is_not(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = Stripes()
    monkeypatch.setattr(datasets, "_MAP_SPECS", {"stripes": spec})
    assert locate_dataset("stripes").folder is None
    with pytest.raises(InputError, match="stripes has not been made on this machine; run: spikeslab data fetch"):
        verify_dataset("stripes")
    assert identify_dataset("stripes").num_train == NUM_TRAIN  # without making it
    assert spec.painted == []

    said: list[str] = []
    mine = tmp_path / "mine"
    assert datasets.fetch_dataset("stripes", mine, on_progress=said.append) == mine / "maps" / "stripes"
    assert datasets.fetch_dataset("stripes", mine, on_progress=said.append) == mine / "maps" / "stripes"
    assert said == [
        f"stripes: striped, verified and put into {mine}/maps/stripes",
        f"stripes is already in {mine}/maps/stripes, and its bytes are right: nothing to do",
    ]
    assert load_dataset("stripes", mine).train_images.filename == mine / "maps" / "stripes" / "images.npy"
    assert spec.painted == [0, 40, 80]
    load_dataset("stripes")
    assert locate_dataset("stripes").folder == cache
    assert spec.painted == 2 * [0, 40, 80]
    assert all(check.ok for check in verify_dataset("stripes"))


def test_a_map_is_verified_whenever_it_is_loaded(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "_MAP_SPECS", {"stripes": Stripes()})
    load_dataset("stripes")
    file = cache / "images.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"\x07")
    with pytest.raises(InputError, match=f"{cache} is not as it was made: SHA-256 is .*; delete {cache} and run"):
        load_dataset("stripes")


def test_a_map_made_of_another_recipe_is_made_again(tmp_path: Path) -> None:
    make(Stripes(content_hash="old"), tmp_path)
    assert not is_made(Stripes(), tmp_path)
    make(spec := Stripes(), tmp_path)
    assert spec.painted == [0, 40, 80]
    assert is_made(Stripes(), tmp_path)
    assert not is_made(replace(spec, content_hash="old"), tmp_path)


@pytest.mark.slow
def test_parts_are_made_by_as_many_processes_as_there_are_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.datasets.dsprites import Sprites

    monkeypatch.setattr("harness.datasets.image_map.count_cores", lambda: 2)
    monkeypatch.setattr(Sprites, "num_at_once", 1_000)
    spec = Sprites("few", 32, None, num_train=3_000, num_test=1_000)
    make_map(spec, spec, tmp_path / "two", lambda *_: None)
    monkeypatch.setattr("harness.datasets.image_map.count_cores", lambda: 1)
    make_map(spec, spec, tmp_path / "one", lambda *_: None)
    assert (tmp_path / "two" / "images.npy").read_bytes() == (tmp_path / "one" / "images.npy").read_bytes()
