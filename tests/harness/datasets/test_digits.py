"""The embedded digits."""

from pathlib import Path

import numpy as np
import pytest

from harness.datasets import digits as digits_module
from harness.datasets import fetch_dataset, load_dataset, locate_dataset, verify_dataset


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
