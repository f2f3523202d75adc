"""CelebA's whole path, on real JPEGs in its own layout: drawn faces, as the photographs are nobody's to hand on."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from torchvision import transforms

from harness import datasets, paths
from harness.datasets import celeba, load_dataset
from harness.datasets.celeba import ATTRIBUTES, CelebA
from harness.datasets.faces import FaceDrawer
from harness.datasets.mapped import MappedDataset
from harness.errors import InputError

NUM, PARTS = 30, {0: 18, 1: 4, 2: 8}  # photographs, and those of each part of the official partition


def write_celeba(folder: Path) -> Path:
    """Write faces as CelebA's files: the JPEGs, and both lists. Whoever wears glasses here has Eyeglasses there."""
    drawer = FaceDrawer(178)
    (folder / "img_align_celeba").mkdir(parents=True)
    lines = {"list_attr_celeba.txt": [str(NUM), " ".join(ATTRIBUTES) + " "], "list_eval_partition.txt": []}
    parts = [part for part, size in PARTS.items() for _ in range(size)]
    for number, part in enumerate(parts):
        face, attributes = drawer.draw(number)
        photograph = Image.new("RGB", (178, 218), (number * 8, 100, 200))
        photograph.paste(Image.fromarray(face), (0, 20))
        name = f"{number + 1:06}.jpg"
        photograph.save(folder / "img_align_celeba" / name, quality=95)
        has = dict.fromkeys(ATTRIBUTES, -1) | {
            "Eyeglasses": 1 if attributes[3] else -1,
            "Smiling": -1 + 2 * (number % 2),
        }
        lines["list_attr_celeba.txt"].append(f"{name} " + " ".join(f"{value:2}" for value in has.values()))
        lines["list_eval_partition.txt"].append(f"{name} {part}")
    for name, content in lines.items():
        (folder / name).write_text("\n".join(content) + "\n")
    return folder


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_celeba(tmp_path_factory.mktemp("written") / "celeba")


@pytest.fixture
def folder(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the files, each as large as CelebA's whole; its parent is the folder for --data."""
    import shutil

    shutil.copytree(written, tmp_path / "data" / "celeba")
    monkeypatch.delenv("SPIKESLAB_DATA", raising=False)
    monkeypatch.setattr(paths, "user_cache", lambda: tmp_path / "cache")
    md5 = {name: hashlib.md5((written / name).read_bytes()).hexdigest() for name in celeba.MD5}
    monkeypatch.setattr(celeba, "MD5", md5)
    monkeypatch.setattr("joblib.cpu_count", lambda: 1)
    specs = CelebA("celeba", 32, "report", 20, 6), CelebA("celeba-official-64", 64, "official", PARTS[0], PARTS[2])
    monkeypatch.setattr(datasets, "_MAP_SPECS", {spec.name: spec for spec in specs})
    return tmp_path / "data" / "celeba"


def read_as_the_reproduction(path: Path, side: int) -> NDArray[np.uint8]:
    """Its preprocess_celeba.py: torchvision's crop of the middle, then its resizing."""
    prepare = transforms.Compose([transforms.CenterCrop(178), transforms.Resize(side)])
    return np.asarray(prepare(Image.open(path))).transpose(2, 0, 1)


def load(folder: Path, name: str = "celeba") -> MappedDataset:
    dataset = load_dataset(name, folder.parent)
    assert isinstance(dataset, MappedDataset)
    return dataset


def test_photographs_are_prepared_and_split_as_in_the_reproduction(folder: Path) -> None:
    names = sorted(path.name for path in (folder / "img_align_celeba").iterdir())
    np.random.RandomState(42).shuffle(names)
    dataset = load(folder)
    expected = [read_as_the_reproduction(folder / "img_align_celeba" / name, 32) for name in names]
    assert (dataset.train_images == expected[:20]).all()
    assert (dataset.test_images == expected[-6:]).all()
    assert dataset.train_labels.tolist() == [1 - int(name[:6]) % 2 for name in names[:20]]
    attributes = np.load(dataset.folder / "attributes.npy")
    drawn = [FaceDrawer(32).draw(int(name[:6]) - 1)[1][3] > 0 for name in names[:20]]
    assert attributes[:20, ATTRIBUTES.index("Eyeglasses")].tolist() == drawn
    assert 0 < sum(drawn) < 20


def test_the_official_partition_is_a_choice(folder: Path) -> None:
    dataset = load(folder, "celeba-official-64")
    of_part = [
        [read_as_the_reproduction(folder / "img_align_celeba" / f"{n + 1:06}.jpg", 64) for n in numbers]
        for numbers in (range(18), range(22, 30))
    ]
    for images, own in zip((dataset.train_images, dataset.test_images), of_part, strict=True):
        assert sorted(image.tobytes() for image in images) == sorted(image.tobytes() for image in own)
    assert not (dataset.train_images == of_part[0]).all()  # shuffled, as the last ones may be held out


def test_once_prepared_the_photographs_are_no_longer_needed(folder: Path) -> None:
    before = load(folder).train_images.copy()
    (folder / "list_attr_celeba.txt").unlink()
    assert (load(folder).train_images == before).all()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:900])


def widen(path: Path) -> None:
    Image.new("RGB", (218, 218)).save(path)


def make_grey(path: Path) -> None:
    Image.open(path).convert("L").save(path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "list_attr_celeba.txt").unlink(), "celeba is incomplete: it lacks list_attr_celeba.txt; put"),
        (
            lambda f: (f / "list_attr_celeba.txt").write_text("1"),
            "list_attr_celeba.txt has the wrong contents: their MD5",
        ),
        (
            lambda f: [(f / "img_align_celeba" / f"{n:06}.jpg").unlink() for n in (2, 5, 7, 9)],
            r"img_align_celeba is incomplete: it lacks 4 of 30 photographs \(000002.jpg, 000005.jpg, 000007.jpg, ...\)",
        ),
        (lambda f: cut(f / "img_align_celeba" / "000003.jpg"), r"000003.jpg is cut or is no JPEG \(.*\); unpack img"),
        (
            lambda f: (f / "img_align_celeba" / "000003.jpg").write_text("no"),
            r"000003.jpg is cut or is no JPEG \(cannot identify image file .*\); unpack img",
        ),
        (lambda f: widen(f / "img_align_celeba" / "000003.jpg"), "000003.jpg has 218x218 pixels, not 178x218: use the"),
        (lambda f: make_grey(f / "img_align_celeba" / "000003.jpg"), "000003.jpg is not in colour as the others are"),
    ],
)
def test_files_that_are_wrong_are_named(folder: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(folder)
    with pytest.raises(InputError, match=message):
        load(folder, "celeba-official-64")


def test_where_there_is_no_celeba_one_sentence_tells_how_to_get_it(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"celeba: CelebA was not found in any of: .*get img_align_celeba.zip"
    ) as caught:
        load_dataset("celeba", tmp_path / "elsewhere")
    assert "--data" in str(caught.value)
    assert "faces" in str(caught.value)


def test_sizes_and_names_are_those_of_the_true_one() -> None:
    by_name = {name: spec for name, spec in datasets._MAP_SPECS.items() if isinstance(spec, CelebA)}
    assert {spec.image_shape for spec in by_name.values()} == {(3, 32, 32), (3, 64, 64)}
    assert len(ATTRIBUTES) == 40
    assert len({spec.content_hash for spec in by_name.values()}) == 4
    assert {(spec.num_train, spec.num_test) for spec in by_name.values()} == {(100_000, 20_000), (162_770, 19_962)}
