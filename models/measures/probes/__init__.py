"""Classifiers trained on frozen codes: they measure how well the class of an image can be read from its code."""

from typing import NamedTuple

import torch
from torch import Tensor

from models.autoencoder import Autoencoder
from models.measures.classes import number_classes
from models.measures.metric_names import CONTROL_METRICS, INPUTS, LABEL_SETS, NUM_PROBED, PROBE_METRICS, PROBES
from models.measures.probes.codes import MakeInputs, encode, standardise, whiten
from models.measures.probes.controls import find_latents_on, make_control_inputs
from models.measures.probes.knn import classify_by_neighbours
from models.measures.probes.linear import classify_linearly
from models.measures.probes.mlp import classify_by_mlp
from models.measures.probes.reproduction import classify_as_in_reproduction
from models.numerics.computing import computing
from models.pixels import ImageBytes
from models.randomness import StreamNoise, make_stream

__all__ = ["INPUTS", "LABEL_SETS", "PROBES", "PROBE_METRICS", "run_control_probes", "run_probes"]

NUM_FEW_LABELS = 5_000
"""Training images in the label set 5k, as in "[Re] Variational Sparse Coding", the reproduction."""

NUM_KNN_IMAGES = 2_000
"""Test images that knn classifies, evenly spaced, the same for every model. All images would take longer than the
other probes together."""


class Labelled(NamedTuple):
    """Images (., C, H, W) uint8 and their labels (.,), integers."""

    train_images: ImageBytes
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor


@torch.inference_mode()
def run_probes(
    model: Autoencoder,
    train_images: ImageBytes,  # (N, C, H, W) uint8
    train_labels: Tensor,  # (N,) integers
    test_images: Tensor,  # (M, C, H, W) uint8
    test_labels: Tensor,  # (M,) integers
    *,
    seed: int,
    width: int = 128,
) -> dict[str, float]:
    """Measure PROBE_METRICS: accuracies on the test images, from 0 to 1, numbers of dead logits, and the linear C.

    Every probe is trained on every input (mu, mean of the posterior's slab; gamma_mu, mean of the posterior; z, a hard
    sample) of every label set (5k, 5,000 images drawn by the seed, the same for all probes; all). dead_logits: see
    `classify_as_in_reproduction`.

    width: hidden units of report_written; the reproduction does not state the number.
    """
    images = Labelled(train_images, train_labels, test_images, test_labels)

    def make_inputs(split: str) -> MakeInputs:
        noise = StreamNoise(make_stream(seed, f"probe/z/{split}", device=train_images.device))

        def encode_batch(x: Tensor) -> dict[str, Tensor]:
            q = model.posterior(x)
            return model.latent.views(q) | {"z": model.draw(q, noise)}

        return encode_batch

    measured = _measure(model, images, make_inputs("train"), make_inputs("test"), seed=seed, width=width)
    # Without a spike, mu is the posterior's mean too, so it stands under both names.
    return {name: measured[name if name in measured else name.replace("_gamma_mu_", "_mu_")] for name in PROBE_METRICS}


@torch.inference_mode()
def run_control_probes(
    model: Autoencoder,
    train_images: ImageBytes,  # (N, C, H, W) uint8
    train_labels: Tensor,  # (N,) integers
    test_images: Tensor,  # (M, C, H, W) uint8
    test_labels: Tensor,  # (M,) integers
    *,
    untrained: Autoencoder,
    seed: int,
    width: int = 128,
) -> dict[str, float]:
    """Measure those of CONTROL_METRICS that the model has: the probes of `run_probes`, on the controls of mu.

    untrained: the model as it was initialised. See `models.measures.probes.controls`.
    """
    images = Labelled(train_images, train_labels, test_images, test_labels)
    is_on = find_latents_on(model, train_images)
    make_inputs = make_control_inputs(model, untrained, is_on, seed=seed)
    measured = _measure(model, images, make_inputs, make_inputs, seed=seed, width=width)
    num_on = {"probe/num_on": float(is_on.sum())} if model.latent.has_gates else {}
    return num_on | {name: measured[name] for name in CONTROL_METRICS if name in measured}


def _measure(
    model: Autoencoder, images: Labelled, make_train: MakeInputs, make_test: MakeInputs, *, seed: int, width: int
) -> dict[str, float]:
    """Run all probes on all inputs and label sets, and name what they measure."""
    with computing():
        # The order is random, so that the first images are a random draw.
        order = torch.randperm(len(images.train_images), generator=make_stream(seed, "probe/order"))
        names, train = encode(model, images.train_images, order, make_train)
        _, test = encode(model, images.test_images, torch.arange(len(images.test_images)), make_test)
        y, truth = number_classes(images.train_labels.cpu()[order], images.test_labels.cpu())
        num_classes = int(torch.cat([y, truth]).max()) + 1

        metrics = dict(zip(NUM_PROBED, (float(len(truth)), float(len(_choose_for_knn(test)))), strict=True))
        num_few = min(NUM_FEW_LABELS, len(y))
        label_sets = {num_few: LABEL_SETS} if num_few == len(y) else {num_few: ("5k",), len(y): ("all",)}
        for num, labels in label_sets.items():
            measured = _run_all(train[:num], y[:num], test, truth, num_classes=num_classes, width=width, seed=seed)
            metrics |= {
                f"probe/{probe}_{name}_{label_set}_{measure}": value
                for (probe, measure), values in measured.items()
                for name, value in zip(names, values, strict=True)
                for label_set in labels
            }
    return metrics


def _run_all(
    train: Tensor, y: Tensor, test: Tensor, truth: Tensor, *, num_classes: int, width: int, seed: int
) -> dict[tuple[str, str], list[float]]:
    """Run all probes; return a number for each input, by probe and by what is measured of it.

    train: (N, K, D + 1) codes of K inputs, a one behind each. y: (N,). test: (M, K, D + 1). truth: (M,).
    """
    coded, written, num_dead = classify_as_in_reproduction(
        train, y, test, num_classes=num_classes, width=width, seed=seed
    )
    some = _choose_for_knn(test)
    neighbours = classify_by_neighbours(train, y, test[some], num_classes=num_classes)
    predictions = {"report_coded": coded, "report_written": written}
    train, test = standardise(train, test)
    predictions["linear"], chosen = classify_linearly(train, y, test)
    train, test = whiten(train, test)
    predictions["mlp"] = classify_by_mlp(train, y, test, num_classes=num_classes, seed=seed)
    hits = {probe: predicted == truth for probe, predicted in predictions.items()} | {"knn": neighbours == truth[some]}
    accuracies = {(probe, "accuracy"): is_hit.double().mean(1).tolist() for probe, is_hit in hits.items()}
    return accuracies | {("report_coded", "dead_logits"): num_dead.double().tolist(), ("linear", "c"): chosen.tolist()}


def _choose_for_knn(test: Tensor) -> Tensor:  # (M, K, D + 1) -> (at least NUM_KNN_IMAGES, or M,) int64
    return torch.arange(0, len(test), max(1, len(test) // NUM_KNN_IMAGES))
