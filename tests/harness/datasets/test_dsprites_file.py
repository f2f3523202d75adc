"""The published file of dSprites, read in pieces and checked: here one of 50 frames, as the true one has 737,280."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from harness import datasets, paths
from harness.datasets import dsprites_file
from harness.datasets.dsprites import FACTORS, draw_sprites, list_images
from harness.datasets.dsprites_file import FILE, PublishedSprites, stream_frames
from harness.errors import InputError

SOME = np.arange(0, FACTORS.num_images, 15_000)[:50]


def hash_as_git(content: bytes) -> str:
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As published: 0 and 1, compressed, and beside them metadata, an object that only pickle reads."""
    monkeypatch.delenv("SPIKESLAB_DATA", raising=False)
    monkeypatch.setattr(paths, "user_cache", lambda: tmp_path / "cache")
    path = tmp_path / "data" / "dsprites" / FILE
    path.parent.mkdir(parents=True)
    frames = draw_sprites(FACTORS.to_classes(SOME))[:, 0] // 255
    np.savez_compressed(path, metadata=np.array({"author": "?"}, object), imgs=frames, latents_classes=SOME)
    monkeypatch.setattr(dsprites_file, "GIT_BLOB", hash_as_git(path.read_bytes()))
    monkeypatch.setattr(dsprites_file, "FRAMES_AT_ONCE", 20)
    return path


def test_frames_are_read_in_pieces_and_without_pickle(file: Path) -> None:
    pieces = list(stream_frames(file))
    assert [len(piece) for piece in pieces] == [20, 20, 10]
    assert (np.concatenate(pieces) == draw_sprites(FACTORS.to_classes(SOME))[:, 0] // 255).all()


@pytest.mark.parametrize("side", [32, 64])
def test_frames_take_the_places_that_drawn_ones_have(file: Path, side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    order = np.random.default_rng(0).permutation(50)
    monkeypatch.setattr(dsprites_file, "list_images", lambda: order)
    painter = PublishedSprites("dsprites-published", side).find_painter(file.parent.parent)  # type: ignore[arg-type]
    images, attributes = np.zeros((50, 1, side, side), np.uint8), np.zeros((50, 5), np.uint8)
    painter.paint(range(50), images, attributes)
    drawn: NDArray[np.uint8] = draw_sprites(FACTORS.to_classes(SOME), side)  # type: ignore[arg-type]
    assert (images == drawn[order]).all()
    assert (attributes == FACTORS.to_classes(order)).all()


def test_a_file_of_other_content_is_refused(file: Path) -> None:
    spec = PublishedSprites("dsprites-published", 64)
    assert spec.find_painter(file.parent).path == file  # the folder itself may be named, too
    np.savez(file, imgs=np.zeros((50, 64, 64), np.uint8))
    with pytest.raises(
        InputError, match=f"{FILE} has other contents: git's name for them is [0-9a-f]+, not .*; get it"
    ):
        spec.find_painter(file.parent.parent)
    file.unlink()
    with pytest.raises(
        InputError, match=r"dsprites-published: dsprites_ndarray.*npz was not found in any of: .*; or use"
    ):
        spec.find_painter(file.parent.parent)


def test_the_true_file_is_meant() -> None:
    assert dsprites_file.GIT_BLOB == "d98996d3f8ee1550e06b9d4ed78d0beb478910d5"
    kinds = [datasets.identify_dataset(f"dsprites{end}") for end in ("", "-32", "-published", "-published-32")]
    assert len({kind.content_hash for kind in kinds}) == 4
    assert {kind.num_train for kind in kinds} == {727_280}


def test_the_images_of_the_dataset_are_those_of_the_grid_shuffled() -> None:
    order = list_images()
    assert (np.sort(order) == np.arange(FACTORS.num_images)).all()
    assert order[:3].tolist() == [594_240, 730_031, 558_319]  # for good
