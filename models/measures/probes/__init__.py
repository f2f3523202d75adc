"""Classifiers trained on frozen codes: they measure how well the class of an image can be read from its code."""

import torch
from torch import Tensor

from models.autoencoder import Autoencoder
from models.measures.metric_names import INPUTS, LABEL_SETS, PROBE_METRICS, PROBES
from models.measures.probes.codes import encode, standardise, whiten
from models.measures.probes.knn import classify_by_neighbours
from models.measures.probes.linear import classify_linearly
from models.measures.probes.mlp import classify_by_mlp
from models.measures.probes.reproduction import classify_as_in_reproduction
from models.numerics.computing import computing
from models.randomness import make_stream

__all__ = ["INPUTS", "LABEL_SETS", "PROBES", "PROBE_METRICS", "run_probes"]

NUM_FEW_LABELS = 5_000
"""Training images in the label set 5k, as in "[Re] Variational Sparse Coding", the reproduction."""

NUM_KNN_IMAGES = 2_000
"""Test images that knn classifies, evenly spaced, the same for every model. All images would take longer than the
other probes together."""


@torch.inference_mode()
def run_probes(
    model: Autoencoder,
    train_images: Tensor,  # (N, C, H, W) uint8
    train_labels: Tensor,  # (N,) integers from 0
    test_images: Tensor,  # (M, C, H, W) uint8
    test_labels: Tensor,  # (M,) integers from 0
    *,
    seed: int,
    width: int = 128,
) -> dict[str, float]:
    """Measure PROBE_METRICS: accuracies on the test images, from 0 to 1, and numbers of dead logits.

    Every probe is trained on every input (mu, mean of the posterior's slab; gamma_mu, mean of the posterior; z, a hard
    sample) of every label set (5k, 5,000 images drawn by the seed, the same for all probes; all). dead_logits: see
    `classify_as_in_reproduction`.

    width: hidden units of report_written; the reproduction does not state the number.
    """
    with computing():
        # The order is random, so that the first images are a random draw.
        order = torch.randperm(len(train_images), generator=make_stream(seed, "probe/order"))
        names, train = encode(model, train_images, order, seed=seed, split="train")
        _, test = encode(model, test_images, torch.arange(len(test_images)), seed=seed, split="test")
        y, truth = train_labels.cpu().long()[order], test_labels.cpu().long()
        num_classes = int(torch.cat([y, truth]).max()) + 1
        # Without a spike, mu is the posterior's mean too, so it stands under both names.
        places = {name: names.index(name if name in names else "mu") for name in INPUTS}

        metrics: dict[str, float] = {}
        num_few = min(NUM_FEW_LABELS, len(y))
        label_sets = {num_few: LABEL_SETS} if num_few == len(y) else {num_few: ("5k",), len(y): ("all",)}
        for num, labels in label_sets.items():
            measured = _run_all(train[:num], y[:num], test, truth, num_classes=num_classes, width=width, seed=seed)
            metrics |= {
                f"probe/{probe}_{name}_{label_set}_{measure}": values[place]
                for (probe, measure), values in measured.items()
                for name, place in places.items()
                for label_set in labels
            }
    return {name: metrics[name] for name in PROBE_METRICS}


def _run_all(
    train: Tensor, y: Tensor, test: Tensor, truth: Tensor, *, num_classes: int, width: int, seed: int
) -> dict[tuple[str, str], list[float]]:
    """Run all probes; return a number for each input, by probe and by what is measured of it.

    train: (N, K, D + 1) codes of K inputs, a one behind each. y: (N,). test: (M, K, D + 1). truth: (M,).
    """
    coded, written, num_dead = classify_as_in_reproduction(
        train, y, test, num_classes=num_classes, width=width, seed=seed
    )
    some = torch.arange(0, len(test), max(1, len(test) // NUM_KNN_IMAGES))
    neighbours = classify_by_neighbours(train, y, test[some], num_classes=num_classes)
    predictions = {"report_coded": coded, "report_written": written}
    train, test = standardise(train, test)
    predictions["linear"] = classify_linearly(train, y, test)
    train, test = whiten(train, test)
    predictions["mlp"] = classify_by_mlp(train, y, test, num_classes=num_classes, seed=seed)
    hits = {probe: predicted == truth for probe, predicted in predictions.items()} | {"knn": neighbours == truth[some]}
    accuracies = {(probe, "accuracy"): is_hit.double().mean(1).tolist() for probe, is_hit in hits.items()}
    return accuracies | {("report_coded", "dead_logits"): num_dead.double().tolist()}
