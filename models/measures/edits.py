"""Effects of changing one entry of a code on the decoded picture: is its class kept, and how much of it changes?

Source: "[Re] Variational Sparse Coding", Figure 3, which multiplies the largest entry of a code by 0.01 and by -0.5.
"""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from models.autoencoder import Autoencoder
from models.measures.classes import number_classes
from models.numerics.computing import measuring
from models.pixels import ImageBytes, to_pixels
from models.randomness import IMAGES_SEED, StreamNoise, make_stream

FACTOR = -0.5
"""Factor by which the largest entry of a code is multiplied."""

INK = 0.1
"""Intensity in [0, 1] above which a pixel is inked; also the change above which a pixel counts as changed."""

NUM_TRAINED = 5_000  # training images of the pixel probe
NUM_EDITED = 1_000  # test images whose codes are edited
PROBE_EPOCHS = 10
PROBE_BATCH_SIZE = 50  # images
PROBE_LEARNING_RATE = 0.1


@torch.no_grad()
def measure_edits(
    model: Autoencoder,
    train_images: ImageBytes,  # (N, C, H, W) uint8
    train_labels: Tensor,  # (N,) integers
    test_images: Tensor,  # (N, C, H, W) uint8
    test_labels: Tensor,  # (N,) integers
    *,
    seed: int,
) -> dict[str, float]:
    """Measure `models.measures.metric_names.EDIT_METRICS`: shares from 0 to 1, means over up to 1,000 test images.

    Codes are hard samples of q(z|x). The edit multiplies the largest entry of a code by -0.5. Classes are those that
    a linear softmax classifier of pixels, trained on real images, predicts.
    class_kept: images whose decoded picture is of the same class before and after the edit.
    changed_pixels: of the pixels that are inked in either picture, those whose intensity changes by more than 0.1.
    class_kept_other, changed_pixels_other: the same where, as a control, another active (non-zero) entry, drawn at
    random, is moved by the same distance towards zero and beyond; on the images whose code has one.
    class_kept_beyond_other, changed_pixels_beyond_other: what the largest entry does less what the other one does, on
    those images. Another model is no control: the largest entry of a code that is not sparse is mostly an idle one.
    pixel_probe_accuracy: accuracy of the classifier on the unedited test images.

    Images whose code lacks the entry are left out; the metric is absent if no image has it.
    """
    device = test_images.device
    test = _choose(len(test_images), NUM_EDITED, "edits/test").to(device)
    train = _choose(len(train_images), NUM_TRAINED, "edits/train").to(device)
    images = test_images[test]
    labels, truth = number_classes(train_labels.to(device), test_labels.to(device))
    with measuring(model):
        weights = train_pixel_probe(_to_intensities(train_images[train]), labels[train])
        q = model.posterior(model.to_pixels(images))
        codes = model.draw(q, StreamNoise(make_stream(seed, "edits/codes", device=device)))
        largest = find_largest(codes)
        others = _draw_another(codes, largest, make_stream(seed, "edits/others", device=device))
        before = decode(model, codes).flatten(1)
        classes = _classify(_to_intensities(images), weights)
        metrics = {"edit/pixel_probe_accuracy": _mean(classes == truth[test])}
        distances = (1 - FACTOR) * codes.abs().amax(1)
        after = decode(model, move_entries(codes, largest, distances)).flatten(1)
        changed, found = share_changed(before, after), largest >= 0
        is_kept = _classify(before, weights) == _classify(after, weights)
        if found.any():
            metrics |= {"edit/class_kept": _mean(is_kept[found]), "edit/changed_pixels": _mean(changed[found])}
        if (found := others >= 0).any():
            other = decode(model, move_entries(codes, others, distances)).flatten(1)
            is_kept_other = _classify(before, weights) == _classify(other, weights)
            for name, largest_does, other_does in (
                ("class_kept", is_kept.double(), is_kept_other.double()),
                ("changed_pixels", changed, share_changed(before, other)),
            ):
                metrics[f"edit/{name}_other"] = _mean(other_does[found])
                metrics[f"edit/{name}_beyond_other"] = _mean((largest_does - other_does)[found])
    return metrics


def find_largest(codes: Tensor) -> Tensor:  # (N, latent_dim) -> (N,) int64
    """Find the entry farthest from zero in each code; -1 where all are zero."""
    return torch.where((codes != 0).any(1), codes.abs().argmax(1), -1)


def scale_entries(codes: Tensor, latents: Tensor, factor: float) -> Tensor:  # (N, latent_dim), (N,) -> (N, latent_dim)
    """Multiply one entry of each code by a factor; a latent of -1 leaves the code as it is."""
    return torch.where(_mark(codes, latents), codes * factor, codes)


def move_entries(codes: Tensor, latents: Tensor, distances: Tensor) -> Tensor:  # (N, D), (N,), (N,) -> (N, D)
    """Move one entry of each code by a distance, towards zero and beyond; a latent of -1 leaves the code as it is."""
    return torch.where(_mark(codes, latents), codes - codes.sign() * distances[:, None], codes)


def decode(model: Autoencoder, codes: Tensor) -> Tensor:  # (..., latent_dim) -> (..., C, H, W)
    """Decode codes to pictures: the mean of p(x|z), intensities in [0, 1].

    With unit_norm the brightness of an image is lost; the brightest pixel of each picture is then set to 1.
    """
    pictures = model.decode(codes)
    match model.pixel_scaling:
        case "minmax":
            return pictures
        case "unit_norm":
            return pictures / pictures.amax((-3, -2, -1), keepdim=True).clamp_min(1e-12)


def share_changed(before: Tensor, after: Tensor) -> Tensor:  # (N, pixels) intensities -> (N,)
    """Compute the share that changes of the pixels inked in either picture; zero where none is inked."""
    inked = (before > INK) | (after > INK)
    changed = inked & ((before - after).abs() > INK)
    return changed.sum(1) / inked.sum(1).clamp_min(1)


def train_pixel_probe(x: Tensor, labels: Tensor) -> Tensor:  # (N, pixels) intensities, (N,) -> (pixels + 1, classes)
    """Train a linear softmax classifier by gradient descent on batches; return its weights, the biases last."""
    inputs = _append_one(x)
    targets = one_hot(labels).to(x.dtype)
    weights = x.new_zeros(inputs.shape[1], targets.shape[1])
    for epoch in range(PROBE_EPOCHS):
        order = torch.randperm(len(x), generator=make_stream(IMAGES_SEED, "edits/probe", epoch)).to(x.device)
        for batch in order.split(PROBE_BATCH_SIZE):
            error = (inputs[batch] @ weights).softmax(1) - targets[batch]
            weights -= PROBE_LEARNING_RATE / len(batch) * (inputs[batch].T @ error)
    return weights


def _to_intensities(images: Tensor) -> Tensor:  # (N, C, H, W) uint8 -> (N, pixels) in [0, 1]
    return to_pixels(images.flatten(1))


def _classify(x: Tensor, weights: Tensor) -> Tensor:  # (N, pixels) -> (N,)
    return (_append_one(x) @ weights).argmax(1)


def _append_one(x: Tensor) -> Tensor:
    return torch.cat([x, x.new_ones(len(x), 1)], 1)


def _draw_another(codes: Tensor, largest: Tensor, generator: torch.Generator) -> Tensor:  # -> (N,) int64
    """Draw another active latent than the largest, all equally probable; -1 where there is none."""
    lots = torch.rand(codes.shape, generator=generator, device=codes.device)
    return find_largest(lots.add_(1).masked_fill_((codes == 0) | _mark(codes, largest), 0))


def _mark(codes: Tensor, latents: Tensor) -> Tensor:  # (N, latent_dim), (N,) -> (N, latent_dim) bool
    """Mark one entry of each code; none where the latent is -1."""
    return torch.arange(codes.shape[1], device=codes.device) == latents[:, None]


def _choose(num_images: int, num: int, purpose: str) -> Tensor:
    """Choose images at random, the same in every trial of a dataset."""
    return torch.randperm(num_images, generator=make_stream(IMAGES_SEED, purpose))[:num]


def _mean(values: Tensor) -> float:
    return float(values.double().mean())
