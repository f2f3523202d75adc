"""Sparsity of codes, and whether it is collapse."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.distributions import Distribution

from models.autoencoder import Autoencoder
from models.measures.bounds import BATCH_SIZE, split_batches
from models.measures.per_latent import measure_latents
from models.numerics.computing import measuring
from models.randomness import StreamNoise

ACTIVE_VARIANCE = 0.01
"""Variance of the posterior mean over images above which a latent is active (Burda et al., 2016, section 5)."""

INFORMATIVE_KL = 0.05
"""Mean KL over images above which a latent is informative, nats."""

ALWAYS_ON = 0.95
"""Mean of gamma over images above which a latent is always on."""

NUM_OVERLAP_IMAGES = 2_000
"""Images whose supports are compared in pairs, evenly spaced, the same for every model."""


@torch.no_grad()
def compute_sparsity(
    model: Autoencoder,
    images: Tensor,  # (N, C, H, W) uint8
    generator: torch.Generator,
) -> dict[str, float]:
    """Compute measures of how sparse the codes of images are.

    Of every model:
    slab_prob: mean posterior P(z != 0). nonzero_fraction: share of entries of hard samples that are not zero.
    active_units: number of latents whose posterior mean has a variance above 0.01 over images. num_informative: number
    of latents with a mean KL above 0.05 nats; NaN where the KL has no closed form. hoyer: Hoyer's measure of the hard
    samples, each latent first divided by its standard deviation over images, 0 for dense and 1 for one-hot or empty
    codes (Hurley and Rickard, 2009; normalised as in Mathieu et al., 2019, equation 9); absent if there is only one
    latent.

    Of models with gates, in which sparsity can be collapse (few latents that are always on, and idle ones):
    num_nonzero: expected number of entries that are not zero, per image. always_on_fraction: share of the informative
    latents with a mean gamma above 0.95; NaN if none is informative. gate_information: what the gates tell about the
    image, nats, summed over latents (see `measure_latents`); at least what they tell together, as latents can repeat
    each other. support_overlap: Jaccard index of the sets of latents that are not zero in samples of two images, mean
    over all pairs of about 2,000 images; two empty sets are the same, 1. support_overlap_same_image: that of two
    samples of one image, which the other cannot exceed but for noise. Where both are equal, which latents are not zero
    says nothing about the image.
    """
    latents = measure_latents(model, images)
    informative = latents.kl > INFORMATIVE_KL
    sparsity = {
        "slab_prob": float(latents.slab_prob.mean()),
        "num_informative": math.nan if latents.kl.isnan().any() else float(informative.sum()),
    }
    with measuring(model):
        sparsity |= _measure_samples(model, images, generator)
        if model.latent.has_gates:
            overlap, overlap_same_image = _measure_overlap(model, images, generator)
            sparsity |= {
                "num_nonzero": float(latents.slab_prob.sum()),
                "always_on_fraction": float((latents.slab_prob[informative] > ALWAYS_ON).double().mean()),
                "gate_information": float(latents.gate_information.sum()),
                "support_overlap": overlap,
                "support_overlap_same_image": overlap_same_image,
            }
    return sparsity


def compute_hoyer(z: Tensor, std: Tensor) -> Tensor:  # (N, D), (D,) -> (N,)
    """Compute the Hoyer sparsity of each row, its entries divided by `std`; 1 for an empty row.

    It is (sqrt(d) - |z|_1 / |z|_2) / (sqrt(d) - 1).
    """
    scaled = z / std.clamp_min(1e-12)
    ratio = scaled.abs().sum(1) / scaled.norm(dim=1).clamp_min(1e-12)
    root = math.sqrt(z.shape[1])
    return torch.clamp_max((root - ratio) / (root - 1), 1.0)


def compute_jaccard(num_common: Tensor, num_one: Tensor, num_other: Tensor) -> Tensor:
    """Compute the Jaccard index of two sets, common elements over all, from their sizes; 1 for two empty sets."""
    num_all = num_one + num_other - num_common
    return torch.where(num_all > 0, num_common / num_all, 1.0)


def _measure_samples(model: Autoencoder, images: Tensor, generator: torch.Generator) -> dict[str, float]:
    """Measure hard samples of all images, which are drawn twice, the same: for their spread, then for `hoyer`."""
    state = generator.get_state()
    num_nonzero, means, codes = 0.0, _Moments(model.latent_dim), _Moments(model.latent_dim)
    for q, z in _draw_codes(model, images, generator):
        num_nonzero += float((z != 0).sum())
        means.add(q.mean)
        codes.add(z)
    measured = {
        "nonzero_fraction": num_nonzero / (len(images) * model.latent_dim),
        "active_units": float((means.compute_variance() > ACTIVE_VARIANCE).sum()),
    }
    if model.latent_dim > 1:
        generator.set_state(state)
        std = codes.compute_variance().sqrt()
        total = sum(float(compute_hoyer(z.cpu().double(), std).sum()) for _, z in _draw_codes(model, images, generator))
        measured["hoyer"] = total / len(images)
    return measured


def _measure_overlap(model: Autoencoder, images: Tensor, generator: torch.Generator) -> tuple[float, float]:
    """Compare the supports of two images, mean over all pairs, and those of two samples of one image."""
    some = images[:: max(1, len(images) // NUM_OVERLAP_IMAGES)]
    first, second = (
        torch.cat([(z != 0).cpu().float() for _, z in _draw_codes(model, some, generator)]) for _ in range(2)
    )  # (M, D)
    sizes, num = first.sum(1), len(some)
    same_image = compute_jaccard((first * second).sum(1), sizes, second.sum(1))
    total = 0.0
    for block, block_sizes in zip(first.split(BATCH_SIZE), sizes.split(BATCH_SIZE), strict=True):
        total += float(compute_jaccard(block @ first.T, block_sizes[:, None], sizes).double().sum())
    # Of the M^2 pairs M are of an image with itself, whose index is 1.
    between = (total - num) / (num * (num - 1)) if num > 1 else math.nan
    return between, float(same_image.double().mean())


def _draw_codes(
    model: Autoencoder, images: Tensor, generator: torch.Generator
) -> Iterator[tuple[Distribution, Tensor]]:  # -> (B, D)
    """Yield the posterior and a hard sample of each batch."""
    noise = StreamNoise(generator)
    for x in split_batches(model, images, BATCH_SIZE):
        q = model.posterior(x)
        yield q, model.draw(q, noise)


class _Moments:
    """Sums of values and squares over rows, float64: no rows are kept."""

    def __init__(self, width: int) -> None:
        self._num = 0
        self._sums = torch.zeros(2, width, dtype=torch.float64)

    def add(self, rows: Tensor) -> None:  # (B, width)
        values = rows.cpu().double()
        self._num += len(values)
        self._sums += torch.stack([values.sum(0), values.square().sum(0)])

    def compute_variance(self) -> Tensor:  # -> (width,)
        """Compute the sample variance; NaN of one row."""
        total, squares = self._sums
        variance: Tensor = (squares - total.square() / self._num).clamp_min(0) / (self._num - 1)
        return variance
