"""Faces: always the same, with their attributes."""

import hashlib
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from harness.datasets.faces import ABSENT, ATTRIBUTES, FaceDrawer, Faces, _load_style
from harness.errors import InputError

FEW = Faces("faces", 32, None, num_train=30, num_test=10, num_at_once=20)


def test_a_face_is_painted_with_its_attributes() -> None:
    images, attributes = np.zeros((40, 3, 32, 32), np.uint8), np.zeros((40, len(ATTRIBUTES)), np.uint8)
    FEW.paint(range(20, 40), images, attributes)
    assert not images[:20].any()
    drawer = FaceDrawer(32)
    for number in (20, 39):
        face, chosen = drawer.draw(number)
        assert (images[number].transpose(1, 2, 0) == face).all()
        assert attributes[number].tolist() == chosen
    assert (images[20:, :, 0, 0] == 255).all()  # on white
    # In colour, and the colour of the skin is where it says: in the middle of the neck.
    skin = ATTRIBUTES.index("skinColor")
    assert (attributes[20:, skin] != ABSENT).all()
    same = attributes[20:, skin] == attributes[20, skin]
    for image in images[20:][same]:
        assert any((image.reshape(3, -1).T == (0xFF, 0xDB, 0xAC)).all(1)) == (attributes[20, skin] == 1)


def test_attributes_are_all_that_the_style_has() -> None:
    assert tuple(_load_style()[1]) == ATTRIBUTES
    assert FEW.label in ATTRIBUTES


def test_what_a_face_lacks_is_absent() -> None:
    glasses = [ATTRIBUTES.index(name) for name in ("glassesColor", "glassesVariant")]
    drawer = FaceDrawer(32)
    with_and_without = [tuple(drawer.draw(number)[1][k] != ABSENT for k in glasses) for number in range(60)]
    assert set(with_and_without) == {(True, True), (False, False)}
    assert 2 <= with_and_without.count((True, True)) <= 25  # a fifth of the faces


def test_other_versions_are_refused_as_they_may_draw_other_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda _: "9.9.9")
    with pytest.raises(InputError, match=r"faces is drawn by dicebear-core 10.7.0, which is 9.9.9 here; run: pip inst"):
        FEW.find_painter(None)

    def find_none(package: str) -> str:
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "version", find_none)
    with pytest.raises(InputError, match=r"which is absent here; run: pip install 'spikeslab\[faces\]'"):
        FEW.find_painter(Path())


@pytest.mark.slow
def test_the_first_4000_faces_are_those_that_were_drawn_before() -> None:
    """These were drawn and hashed elsewhere, by another program: at 32x32, (N, 32, 32, 3)."""
    drawer = FaceDrawer(32)
    digest = hashlib.sha256()
    for number in range(4_000):
        digest.update(drawer.draw(number)[0].tobytes())
    assert digest.hexdigest().startswith("5786424db9c382f4")
