"""What holds while a model trains or is measured, and only then."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

from models.numerics import computing as module
from models.numerics.computing import computing, is_flushing_denormals, measuring


def count_denormals(tensors: dict[str, Tensor]) -> int:
    """By their bits: a processor that flushes them would compare them as zeros."""
    bits = torch.cat([tensor.flatten() for tensor in tensors.values()]).view(torch.int32)
    return int(((bits & 0x7F800000 == 0) & (bits & 0x007FFFFF != 0)).sum())


@contextmanager
def flushing_nothing() -> Iterator[None]:
    yield


def test_denormals_are_zero_inside_and_as_before_outside() -> None:
    assert not is_flushing_denormals()
    with computing():
        assert is_flushing_denormals()
        with computing():
            assert float(torch.full((3,), 1e-30).mul(1e-10).sum()) == 0.0
        assert is_flushing_denormals()
    assert not is_flushing_denormals()
    assert float(torch.full((3,), 1e-30).mul(1e-10).sum()) > 0.0


def test_convolutions_on_a_card_are_deterministic_and_of_full_precision_inside() -> None:
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.allow_tf32
    assert before == (False, True), "torch's defaults are others"
    with computing():
        assert (cudnn.deterministic, cudnn.allow_tf32) == (True, False)
    assert (cudnn.deterministic, cudnn.allow_tf32) == before


def test_who_ends_first_leaves_convolutions_as_they_are_to_the_other() -> None:
    """As an engine's thread does beside the thread that waits for it."""
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.allow_tf32
    begun, may_end = threading.Event(), threading.Event()

    def compute() -> None:
        with computing():
            begun.set()
            may_end.wait(30)

    with computing():
        thread = threading.Thread(target=compute)
        thread.start()
        assert begun.wait(30)
    assert (cudnn.deterministic, cudnn.allow_tf32) == (True, False)
    may_end.set()
    thread.join(30)
    assert (cudnn.deterministic, cudnn.allow_tf32) == before


def test_all_is_put_back_after_an_error() -> None:
    def fail() -> None:
        with computing():
            assert torch.get_num_threads() == 1
            raise ZeroDivisionError

    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError):
        fail()
    assert torch.get_num_threads() == before
    assert not is_flushing_denormals()


@pytest.mark.parametrize("was_training", [True, False])
def test_a_model_is_measured_in_evaluation_mode_and_left_in_its_own(was_training: bool) -> None:
    model = nn.ReLU().train(was_training)
    with measuring(model):
        assert not model.training
        assert is_flushing_denormals()
    assert model.training == was_training


def test_the_smallest_normal_number_stays() -> None:
    with module.computing():
        assert float(torch.full((), torch.finfo(torch.float32).tiny) * 1) > 0.0
