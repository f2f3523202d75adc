"""What is recorded on some tensor is not replayed on another, nor on a part of it."""

import torch

from models.numerics.recording import is_same_memory


def test_the_first_rows_of_a_tensor_are_not_that_tensor() -> None:
    images = torch.zeros(15, 1, 4, 4, dtype=torch.uint8)
    assert is_same_memory(images, images[:])
    assert not is_same_memory(images, images[:5])
    assert not is_same_memory(images, images.clone())
