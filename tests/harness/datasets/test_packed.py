"""Black and white images as bits: the same images in an eighth of the room, of the same names, trained on alike."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from harness import paths
from harness.datasets import identify_dataset
from harness.datasets.dsprites import FACTORS, Sprites, draw_sprites, list_images
from harness.datasets.image_map import IMAGES, MANIFEST, hash_arrays, is_made, make_map, open_arrays, verify_map
from harness.datasets.mapped import find_map, open_map
from harness.datasets.packed import PackedArray
from harness.worker.images import Images
from models.build import build_model
from models.measures.disentanglement.scores import make_code_table
from models.measures.probes.codes import encode
from models.pixels import PackedImages
from models.training.fit import fit
from models.training.state import init_state
from tests.models.cases import assert_same_tensors, make_settings

FEW = Sprites("few-sprites", 32, None, num_train=60, num_test=20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The map of a few sprites."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.datasets.image_map.count_cores", lambda: 1)
        make_map(FEW, FEW, path := tmp_path_factory.mktemp("few-sprites"), lambda *_: None)
    return path


def draw_all() -> NDArray[np.uint8]:  # -> (80, 1, 32, 32)
    return draw_sprites(FACTORS.to_classes(list_images()[:80]), 32)


def test_what_is_written_is_read_whatever_the_index() -> None:
    images = draw_all()
    packed = PackedArray(np.zeros((80, 1, 32, 4), np.uint8))
    packed[40:] = images[40:]
    order = np.random.default_rng(0).permutation(40)
    packed[order] = images[order]
    assert packed.shape == images.shape
    assert packed.nbytes == images.nbytes // 8
    assert len(packed) == 80
    assert (np.asarray(packed) == images).all()
    assert (packed[order] == images[order]).all()
    assert (packed[7] == images[7]).all()
    part = packed[10:20]
    assert isinstance(part, PackedArray)
    assert np.shares_memory(part.bits, packed.bits), "a slice is no copy"
    assert (np.asarray(part) == images[10:20]).all()
    with pytest.raises(ValueError, match="not an array of their own"):
        np.asarray(packed, copy=False)


def test_a_packed_map_takes_an_eighth_and_has_the_checksum_of_its_images(folder: Path) -> None:
    images, attributes = open_arrays(FEW, folder)
    assert isinstance(images, PackedArray)
    assert (np.asarray(images) == draw_all()).all()
    assert (folder / IMAGES).stat().st_size == 128 + 80 * 32 * 4
    recorded = json.loads((folder / MANIFEST).read_text())["sha256"]
    assert recorded == hash_arrays(draw_all(), attributes), "as when images took a byte a pixel: trials keep their ids"
    assert all(check.ok for check in verify_map(FEW, folder))
    assert {identify_dataset(f"dsprites{end}").content_hash[:8] for end in ("", "-32")} == {"7134e7cd", "e7c1ba6a"}


def test_a_map_of_a_byte_a_pixel_made_before_is_not_taken_for_a_packed_one(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "user_cache", lambda: tmp_path)
    old = tmp_path / "maps" / FEW.name
    old.mkdir(parents=True)
    np.save(old / IMAGES, draw_all())
    manifest = json.loads((folder / MANIFEST).read_text())
    (old / MANIFEST).write_text(json.dumps({name: v for name, v in manifest.items() if name != "is_packed"}))
    assert find_map(FEW, None) is None
    monkeypatch.setattr("harness.datasets.image_map.count_cores", lambda: 1)
    make_map(FEW, FEW, old, lambda *_: None)
    assert is_made(FEW, old)
    assert (old / IMAGES).read_bytes() == (folder / IMAGES).read_bytes()


def test_a_bit_that_flipped_is_found(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    content = bytearray((tmp_path / IMAGES).read_bytes())
    content[-1] ^= 1
    (tmp_path / IMAGES).write_bytes(content)
    assert not all(check.ok for check in verify_map(FEW, tmp_path))


@pytest.mark.parametrize("kind", [{"network": "mlp"}, {"network": "conv", "hidden": (400,)}], ids=["stack", "autograd"])
@pytest.mark.parametrize("binarisation", ["none", "static"])
def test_training_and_codes_are_the_same_bits_as_of_images_of_bytes(
    folder: Path, kind: dict[str, Any], binarisation: str
) -> None:
    held = Images.of(open_map(FEW, folder), 10, "cpu", is_binary=binarisation != "none")
    assert isinstance(held.train, PackedImages)
    plain = torch.from_numpy(draw_all())
    assert torch.equal(held.validation, plain[50:60])  # type: ignore[arg-type]
    assert torch.equal(held.test, plain[60:])
    settings = make_settings("vsc_sigmoid", epochs=2, binarisation=binarisation, batch_size=20, **kind)
    states = []
    for images in (held.train, plain[:50]):
        state = init_state(settings, (1, 32, 32))
        list(fit(state, settings, images))
        states.append(state)
    assert_same_tensors(states[0].tensors(), states[1].tensors())


def test_what_is_measured_of_training_images_unpacks_them(folder: Path) -> None:
    held, plain = Images.of(open_map(FEW, folder), 0, "cpu"), torch.from_numpy(draw_all())[:60]
    model = build_model(make_settings("vae"), (1, 32, 32))
    assert held.train_factors is not None
    tables = [make_code_table(model, images, held.train_factors) for images in (held.train, plain)]
    assert (tables[0].codes == tables[1].codes).all()
    codes = [
        encode(model, images, torch.arange(59, -1, -1), lambda x: {"mu": x.flatten(1)[:, :3]})[1]
        for images in (held.train, plain)
    ]
    assert torch.equal(codes[0], codes[1])
    assert torch.equal(torch.cat(list(held.train.split(7))), plain)
    assert held.labelled[0] is held.train
