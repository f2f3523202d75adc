"""Classifiers trained on frozen codes: how much of the class is in a code, and how easily it is read there."""

import torch
from torch import Tensor

from models.autoencoder import Autoencoder
from models.measures.names import INPUTS, LABEL_SETS, PROBE_METRICS, PROBES
from models.measures.probes.codes import encode, standardise, whiten
from models.measures.probes.knn import classify_by_neighbours
from models.measures.probes.linear import classify_linearly
from models.measures.probes.mlp import classify_by_mlp
from models.measures.probes.reproduction import classify_as_in_reproduction
from models.numerics.measuring import computing
from models.randomness import make_stream

__all__ = ["INPUTS", "LABEL_SETS", "PROBES", "PROBE_METRICS", "run_probes"]

NUM_FEW_LABELS = 5_000
"""The label set 5k: so many training images, as in the report."""

NUM_KNN_IMAGES = 2_000
"""knn is asked about so many test images, evenly spaced and the same for every model: all would take it longer than the
other probes take together."""


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
    """Accuracies on the test images, from 0 to 1, by the names of PROBE_METRICS.

    Every probe is trained on every input (mu, the mean of the posterior's slab; gamma_mu, its mean; z, a hard sample)
    of every label set (5k, drawn by the seed and the same for all; all). dead_logits: how many classes report_coded
    can no longer tell, see `classify_as_in_reproduction`.

    width: hidden units of report_written; the report names no number.
    """
    with computing():
        # In random order, so that any first few are a random draw.
        order = torch.randperm(len(train_images), generator=make_stream(seed, "probe/order"))
        names, train = encode(model, train_images, order, seed=seed, split="train")
        _, test = encode(model, test_images, torch.arange(len(test_images)), seed=seed, split="test")
        y, truth = train_labels.cpu().long()[order], test_labels.cpu().long()
        num_classes = int(torch.cat([y, truth]).max()) + 1
        # A posterior without a spike has one mean, which then stands under both names.
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
    """For each probe and what is measured of it, a number for each input.

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
    hits = {probe: own == truth for probe, own in predictions.items()} | {"knn": neighbours == truth[some]}
    accuracies = {(probe, "accuracy"): own.double().mean(1).tolist() for probe, own in hits.items()}
    return accuracies | {("report_coded", "dead_logits"): num_dead.double().tolist()}
