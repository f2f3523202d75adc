"""The arrays for the qualitative figures: what each holds, for every model, and that they are the same again."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from analysis.tables.exhibits import LATER_LAYOUT, LAYOUT, read_exhibits
from analysis.tables.series import NothingToDrawError
from harness.datasets import load_dataset
from models.autoencoder import Autoencoder
from models.build import build_model
from models.latents.spike_and_slab import SpikeAndSlabLatent
from models.measures.exhibits import NUM_KEPT, make_exhibits
from models.training.state import TrainState
from tests.models.cases import DIGITS, KINDS, MNIST, make_images, make_settings

Arrays = dict[str, NDArray[Any]]
TINY = (1, 4, 4)


@pytest.fixture(scope="module")
def labels() -> Tensor:
    return torch.tensor(load_dataset("digits").test_labels)


@pytest.fixture(scope="module")
def exhibits(trained: TrainState, test_digits: Tensor, labels: Tensor) -> Arrays:
    """Of a trained model of each kind, latent_dim 6."""
    return make_exhibits(trained.model, test_digits, labels, seed=5)


class OneLatent(nn.Module):
    """A decoder that lights all of 16 pixels by one latent."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.latent = latent

    def forward(self, z: Tensor) -> Tensor:  # (..., D) -> (..., *TINY)
        return z[..., [self.latent] * 16].view(*z.shape[:-1], *TINY)


def decode(model: Autoencoder, codes: NDArray[Any]) -> NDArray[Any]:  # (..., D) -> (..., 8, 8)
    with torch.no_grad():
        pictures = 255 * torch.sigmoid(model.decoder(torch.from_numpy(codes)))
    return pictures.numpy().reshape(*codes.shape[:-1], *DIGITS[1:])


def assert_same_picture(one: NDArray[Any], other: NDArray[Any]) -> None:
    """But for rounding, and for sums in another order."""
    assert one.dtype == np.uint8
    assert np.abs(one - other.astype(np.float64)).max() < 0.51


def empty_codes(model: Autoencoder) -> Autoencoder:
    """The same model with a posterior that is all spike."""
    with torch.no_grad():
        last = model.encoder.layers[-1]
        last.weight.zero_()
        last.bias[2 * model.latent_dim :] = -1e3
    return model


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("latent_dim", [1, 2, 9])
def test_what_a_model_stores_is_what_analysis_reads(kind: str, latent_dim: int, tmp_path: Path) -> None:
    model = build_model(make_settings(kind, latent_dim=latent_dim), (1, 6, 5))
    arrays = make_exhibits(model, make_images(40, (1, 6, 5)), torch.arange(40) % 3, seed=1)
    np.savez_compressed(tmp_path / "t.npz", **arrays)
    assert arrays.keys() == {**LAYOUT, **LATER_LAYOUT}.keys() == read_exhibits(tmp_path / "t.npz").keys()
    assert arrays["images"].shape == (3, 6, 5)
    assert arrays["codes"].shape == (3, latent_dim)


def test_pictures_in_colour_have_their_channels_last(tmp_path: Path) -> None:
    images = make_images(40, (3, 6, 5))
    model = build_model(make_settings("vsc_sigmoid", latent_dim=4), (3, 6, 5))
    arrays = make_exhibits(model, images, torch.arange(40) % 3, seed=1)
    np.savez_compressed(tmp_path / "t.npz", **arrays)
    read = read_exhibits(tmp_path / "t.npz")
    assert read["images"].shape == (3, 6, 5, 3)
    for image in read["images"]:
        assert (images.numpy() == image.transpose(2, 0, 1)).all((1, 2, 3)).any()
    with torch.no_grad():
        expected = 255 * torch.sigmoid(model.decoder(torch.from_numpy(arrays["prior_codes"]))).view(-1, 3, 6, 5)
    assert_same_picture(arrays["prior_pictures"], expected.numpy().transpose(0, 2, 3, 1))
    assert read["traversals"].shape[-3:] == (6, 5, 3)
    np.savez_compressed(tmp_path / "t.npz", **(arrays | {"reconstructions": arrays["reconstructions"][..., 0]}))
    with pytest.raises(NothingToDrawError, match="holds another reconstructions than is drawn"):  # grey among colours
        read_exhibits(tmp_path / "t.npz")


def test_they_are_a_few_hundred_kilobytes_on_mnist(tmp_path: Path) -> None:
    model = build_model(make_settings("vae", latent_dim=200), MNIST)
    arrays = make_exhibits(model, make_images(100, MNIST), torch.arange(100) % 10, seed=1)
    assert sum(array.nbytes for array in arrays.values()) < 400_000


def test_every_model_and_seed_shows_the_same_image_of_each_class(
    exhibits: Arrays, test_digits: Tensor, labels: Tensor
) -> None:
    other = build_model(make_settings("vae", latent_dim=2, seed=9), DIGITS)
    others = make_exhibits(other, test_digits, labels, seed=77)
    assert np.array_equal(exhibits["images"], others["images"])
    assert list(exhibits["labels"]) == list(range(10))
    for image, label in zip(exhibits["images"], exhibits["labels"], strict=True):
        of_class = test_digits[labels == label].numpy().squeeze(1)
        assert (of_class == image).all((1, 2)).any()


def test_they_are_the_same_again_and_others_with_another_seed(
    exhibits: Arrays, trained: TrainState, test_digits: Tensor, labels: Tensor
) -> None:
    again, other = (make_exhibits(trained.model, test_digits, labels, seed=seed) for seed in (5, 6))
    for name, array in exhibits.items():
        assert np.array_equal(array, again[name]), name
    assert not np.array_equal(exhibits["codes"], other["codes"])
    assert not np.array_equal(exhibits["prior_codes"], other["prior_codes"])


def test_reconstructions_are_the_codes_decoded(exhibits: Arrays, trained: TrainState) -> None:
    assert_same_picture(exhibits["reconstructions"], decode(trained.model, exhibits["codes"]))


def test_codes_of_a_vsc_have_exact_zeros_and_those_of_a_vae_none(exhibits: Arrays, trained: TrainState) -> None:
    has_spike = isinstance(trained.model.latent, SpikeAndSlabLatent)
    assert (exhibits["codes"] == 0).any() == has_spike


def test_an_edited_picture_is_the_edited_code_decoded(exhibits: Arrays, trained: TrainState) -> None:
    assert list(exhibits["edited_factors"]) == [0.01, -0.5]
    for i, code in enumerate(exhibits["codes"]):
        largest = max(range(6), key=lambda latent: abs(code[latent]))
        assert exhibits["edited_latents"][i] == (largest if code.any() else -1)
        for factor, picture in zip((0.01, -0.5), exhibits["edited_pictures"][i], strict=True):
            edited = code.copy()
            edited[largest] *= factor
            assert_same_picture(picture, decode(trained.model, edited))


def test_the_middle_of_a_traversal_is_the_reconstruction(exhibits: Arrays) -> None:
    assert exhibits["traversal_offsets"][4] == 0
    for image, latents, pictures in zip(
        *(exhibits[name] for name in ("traversed_images", "traversed_latents", "traversals")), strict=True
    ):
        for latent, row in zip(latents, pictures, strict=True):
            if latent >= 0:
                assert_same_picture(row[4], exhibits["reconstructions"][image])


def test_a_traversal_changes_one_active_latent_by_its_offsets_the_largest_first(
    exhibits: Arrays, trained: TrainState
) -> None:
    for t, image in enumerate(exhibits["traversed_images"]):
        code = exhibits["codes"][image]
        latents = exhibits["traversed_latents"][t]
        active = [latent for latent in latents if latent >= 0]
        assert list(latents) == active + [-1] * (len(latents) - len(active))
        assert set(active) == set(np.flatnonzero(code))  # there are 6 at most
        assert sorted(active, key=lambda latent: -abs(code[latent])) == active
        for row, latent in enumerate(active):
            for offset, picture in zip(exhibits["traversal_offsets"], exhibits["traversals"][t, row], strict=True):
                moved = code.copy()
                moved[latent] += offset
                assert_same_picture(picture, decode(trained.model, moved))
        assert not exhibits["traversals"][t, len(active) :].any()


def test_conditional_samples_vary_only_if_an_active_latent_is_redrawn(exhibits: Arrays) -> None:
    for c, image in enumerate(exhibits["conditional_images"]):
        num_active = np.count_nonzero(exhibits["codes"][image])
        assert exhibits["conditional_kept"][c] == min(NUM_KEPT, num_active // 2)
        samples = exhibits["conditional_samples"][c]
        assert (samples != samples[0]).any() == (num_active > 0)


def test_conditional_samples_do_not_depend_on_the_entries_they_redraw() -> None:
    """A decoder that reads one latent shows it: as encoded where it is kept, from N(0, 1) where it is not."""
    model = build_model(make_settings("vae", latent_dim=4, hidden=(8,)), TINY)
    images, labels = make_images(30, TINY), torch.arange(30) % 3
    codes = make_exhibits(model, images, labels, seed=0)["codes"]
    order = np.argsort(-np.abs(codes[0]))
    varies = []
    for latent in order:
        model.decoder = OneLatent(latent)
        arrays = make_exhibits(model, images, labels, seed=0)
        assert np.array_equal(arrays["codes"], codes)
        samples = arrays["conditional_samples"][0]
        varies.append(bool((samples != samples[0]).any()))
        if not varies[-1]:
            assert (samples == arrays["reconstructions"][0]).all()
    assert varies == [False, False, True, True]


def test_samples_as_in_the_reports_notebook_redraw_as_many_as_four_fifths_of_the_active_entries(
    exhibits: Arrays,
) -> None:
    for c, image in enumerate(exhibits["conditional_images"]):
        num_active = np.count_nonzero(exhibits["codes"][image])
        counts, samples = exhibits["redrawn_counts"][c], exhibits["redrawn_samples"][c]
        assert (counts <= int(0.8 * num_active)).all()
        assert (counts >= (num_active > 1)).all()
        if num_active < 2:
            assert (samples == exhibits["reconstructions"][image]).all()


def test_drawn_with_replacement_they_are_just_over_half_of_many() -> None:
    model = build_model(make_settings("vae", latent_dim=100, hidden=(8,)), TINY)
    arrays = make_exhibits(model, make_images(30, TINY), torch.arange(30) % 4, seed=0)
    expected = 100 * (1 - (1 - 1 / 100) ** 80)  # 55.2, with a standard deviation of 3.3
    assert arrays["redrawn_counts"].mean() == pytest.approx(expected, abs=4 * 3.3 / np.sqrt(32))
    assert (arrays["redrawn_samples"] != arrays["redrawn_samples"][:, :1]).any()


def test_they_differ_from_the_code_in_the_entries_that_were_drawn_alone() -> None:
    """A decoder that reads one latent shows it as encoded in as many samples as did not redraw it."""
    model = build_model(make_settings("vae", latent_dim=4, hidden=(8,)), TINY)
    images, labels = make_images(30, TINY), torch.arange(30) % 3
    num_changed = 0
    for latent in range(4):
        model.decoder = OneLatent(latent)
        arrays = make_exhibits(model, images, labels, seed=0)
        num_changed += (arrays["redrawn_samples"] != arrays["reconstructions"][:3, None]).any((2, 3)).sum()
    assert num_changed == pytest.approx(arrays["redrawn_counts"].sum(), abs=2)  # a draw can round to the same gray


@pytest.mark.parametrize("alpha", [0.01, 0.2])
def test_a_sample_of_the_prior_has_about_alpha_times_d_entries(alpha: float) -> None:
    model = build_model(make_settings("vsc_sigmoid", latent_dim=200, alpha=alpha), TINY)
    arrays = make_exhibits(model, make_images(10, TINY), torch.arange(10), seed=3)
    num_nonzero = (arrays["prior_codes"] != 0).sum(1)
    error = np.sqrt(200 * alpha * (1 - alpha) / len(num_nonzero))
    assert num_nonzero.mean() == pytest.approx(200 * alpha, abs=4 * error)


def test_prior_pictures_are_the_prior_codes_decoded(exhibits: Arrays, trained: TrainState) -> None:
    assert_same_picture(exhibits["prior_pictures"], decode(trained.model, exhibits["prior_codes"]))
    assert not np.array_equal(exhibits["prior_pictures"], exhibits["gaussian_pictures"])


def test_a_vsc_whose_codes_are_empty_has_exhibits_without_latents() -> None:
    model = empty_codes(build_model(make_settings("vsc_sigmoid", latent_dim=5), TINY))
    arrays = make_exhibits(model, make_images(20, TINY), torch.arange(20) % 4, seed=0)
    assert not arrays["codes"].any()
    assert (arrays["edited_latents"] == -1).all()
    assert (arrays["traversed_latents"] == -1).all()
    assert not arrays["traversals"].any()
    assert not arrays["conditional_kept"].any()
    assert (arrays["conditional_samples"] == arrays["reconstructions"][0]).all()


def test_pictures_of_images_of_unit_norm_are_as_bright_as_the_scale_allows() -> None:
    model = build_model(make_settings("vae", pixel_scaling="unit_norm"), MNIST)
    arrays = make_exhibits(model, make_images(20, MNIST), torch.arange(20) % 4, seed=0)
    for name in ("reconstructions", "prior_pictures"):
        assert (arrays[name].max((1, 2)) == 255).all()


def test_the_model_is_left_as_it_was(trained: TrainState, test_digits: Tensor, labels: Tensor) -> None:
    for mode in (True, False):
        trained.model.train(mode)
        make_exhibits(trained.model, test_digits, labels, seed=0)
        assert trained.model.training == mode
