"""Arrays that a trial stores for the qualitative figures, so that analysis can draw them without the model.

M: images, one test image of each class, the same for every trial of a dataset. D: latent dimensions. H, W: pixels;
arrays of pictures in colour have a last size of 3 more. Pictures are the result of `models.measures.edits.decode`,
times 255. Codes are hard samples of q(z|x), with exact zeros in a VSC.

    images                  (M, H, W)           uint8
    labels                  (M,)                int64
    codes                   (M, D)              float32
    reconstructions         (M, H, W)           uint8    the codes, decoded

    edited_factors          (2,)                float64  factors of the largest entry of a code
    edited_latents          (M,)                int64    index of that entry; -1 where the code is empty
    edited_pictures         (M, 2, H, W)        uint8    the edited codes, decoded

    traversed_images        (T,)                int64    indices into `images`, three at most
    traversed_latents       (T, L)              int64    the largest entries, six at most; -1 beyond the active ones
    traversal_offsets       (9,)                float32  numbers added to the entry, -3 to 3; the middle one is 0
    traversals              (T, L, 9, H, W)     uint8    codes with one entry moved, decoded; black at a latent of -1

    conditional_images      (C,)                int64    indices into `images`, four at most
    conditional_kept        (C,)                int64    number of the largest entries that are kept, three at most
    conditional_samples     (C, S, H, W)        uint8    codes with the other active entries from N(0, 1), decoded

    redrawn_counts          (C, S)              int64    number of active entries that are drawn anew in each sample
    redrawn_samples         (C, S, H, W)        uint8    codes with entries of that number from N(0, 1), decoded

    prior_codes             (P, D)              float32  samples of the prior, the spike and slab of a VSC
    prior_pictures          (P, H, W)           uint8    prior_codes, decoded
    gaussian_pictures       (P, H, W)           uint8    codes from N(0, 1), decoded, as in the reproduction

Source: "[Re] Variational Sparse Coding", Figures 3 (edits), 4 (codes), 5 (traversals) and 6 (conditional samples). Of
the latter, `conditional_samples` are as its text has them, `redrawn_samples` as the notebook that drew them.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.autoencoder import Autoencoder
from models.measures.edits import decode, find_largest, scale_entries
from models.numerics.computing import measuring
from models.randomness import IMAGES_SEED, StreamNoise, make_stream

EDITED_FACTORS = (0.01, -0.5)
"""Factors by which the largest entry of a code is multiplied, as in the reproduction's Figure 3."""

TRAVERSAL_OFFSETS = np.linspace(-3, 3, 9, dtype=np.float32)
NUM_TRAVERSED_IMAGES = 3
NUM_TRAVERSED_LATENTS = 6
NUM_CONDITIONAL_IMAGES = 4
NUM_CONDITIONAL_SAMPLES = 8
NUM_KEPT = 3
REDRAWN_SHARE = 0.8
"""Of the active entries, so many are drawn, with replacement, to be redrawn: just over half of many."""

NUM_PRIOR_SAMPLES = 32


@torch.no_grad()
def make_exhibits(
    model: Autoencoder,
    images: Tensor,  # (N, C, H, W) uint8, of the test set
    labels: Tensor,  # (N,)
    *,
    seed: int,
) -> dict[str, NDArray[Any]]:
    """Make the arrays that this module's docstring lists. seed: that of the trial."""
    device = images.device
    chosen = choose_images(labels)
    with measuring(model):
        shown = images[chosen.to(device)]
        noise = {name: StreamNoise(make_stream(seed, f"exhibits/{name}", device=device)) for name in ("codes", "prior")}
        codes = model.draw(model.posterior(model.to_pixels(shown)), noise["codes"])
        prior_codes = model.draw_prior(NUM_PRIOR_SAMPLES, noise["prior"])
        gaussian = make_stream(seed, "exhibits/gaussian", device=device)
        gaussian_codes = torch.randn(prior_codes.shape, generator=gaussian, device=device)
        exhibits = {
            "images": _arrange(shown),
            "labels": labels.cpu()[chosen].long(),
            "codes": codes,
            "reconstructions": _take_picture(model, codes),
            "prior_codes": prior_codes,
            "prior_pictures": _take_picture(model, prior_codes),
            "gaussian_pictures": _take_picture(model, gaussian_codes),
            **_edit(model, codes),
            **_traverse(model, codes),
            **_redraw(model, codes, make_stream(seed, "exhibits/conditional", device=device)),
            **_redraw_at_random(model, codes, make_stream(seed, "exhibits/redrawn", device=device)),
        }
    return {name: tensor.cpu().numpy() for name, tensor in exhibits.items()}


def choose_images(labels: Tensor) -> Tensor:  # (N,) -> (M,) int64
    """Choose one image of each class, in the order of the classes."""
    order = torch.randperm(len(labels), generator=make_stream(IMAGES_SEED, "exhibits/images"))
    _, first = np.unique(labels.cpu()[order].numpy(), return_index=True)
    return order[torch.from_numpy(first)]


def _edit(model: Autoencoder, codes: Tensor) -> dict[str, Tensor]:
    largest = find_largest(codes)
    edited = torch.stack([scale_entries(codes, largest, factor) for factor in EDITED_FACTORS], 1)  # (M, 2, D)
    return {
        "edited_factors": torch.tensor(EDITED_FACTORS, dtype=torch.float64),
        "edited_latents": largest,
        "edited_pictures": _take_picture(model, edited),
    }


def _traverse(model: Autoencoder, codes: Tensor) -> dict[str, Tensor]:
    """Change the largest entries of some codes, one at a time, from 3 below their value to 3 above."""
    which = _first_active(codes, NUM_TRAVERSED_IMAGES)
    codes = codes[which]
    latents = _order_by_size(codes)[:, :NUM_TRAVERSED_LATENTS]  # (T, L)
    is_active = codes.gather(1, latents) != 0
    offsets = torch.from_numpy(TRAVERSAL_OFFSETS).to(codes.device)
    moved = torch.eye(codes.shape[1], device=codes.device)[latents]  # (T, L, D)
    traversed = codes[:, None, None] + offsets[:, None] * moved[:, :, None]  # (T, L, 9, D)
    pictures = _take_picture(model, traversed)
    return {
        "traversed_images": which,
        "traversed_latents": latents.where(is_active, -1),
        "traversal_offsets": offsets,
        "traversals": pictures * is_active.view(*is_active.shape, *[1] * (pictures.ndim - 2)),
    }


def _redraw(model: Autoencoder, codes: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
    """Draw codes anew, keeping the largest entries of a code and the set of its active latents."""
    which = _first_active(codes, NUM_CONDITIONAL_IMAGES)
    codes = codes[which]
    num_kept = ((codes != 0).sum(1) // 2).clamp_max(NUM_KEPT)  # at most half: redraw most even of few
    rank = _order_by_size(codes).argsort(1)
    is_kept = (codes == 0) | (rank < num_kept[:, None])  # (C, D)
    shape = (len(codes), NUM_CONDITIONAL_SAMPLES, codes.shape[1])
    drawn = torch.randn(shape, generator=generator, device=codes.device)
    redrawn = torch.where(is_kept[:, None], codes[:, None], drawn)  # (C, S, D)
    return {
        "conditional_images": which,
        "conditional_kept": num_kept,
        "conditional_samples": _take_picture(model, redrawn),
    }


def _redraw_at_random(model: Autoencoder, codes: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
    """Draw entries anew that are themselves drawn, of the active ones with replacement, for each sample."""
    codes = codes[_first_active(codes, NUM_CONDITIONAL_IMAGES)]
    is_redrawn = torch.zeros(len(codes), NUM_CONDITIONAL_SAMPLES, codes.shape[1], dtype=torch.bool, device=codes.device)
    for of_code, code in zip(is_redrawn, codes, strict=True):
        active = code.nonzero().flatten()
        num_draws = int(REDRAWN_SHARE * len(active))
        for of_sample in of_code:
            if num_draws:
                places = torch.randint(len(active), (num_draws,), generator=generator, device=codes.device)
                of_sample[active[places]] = True
    drawn = torch.randn(is_redrawn.shape, generator=generator, device=codes.device)
    return {
        "redrawn_counts": is_redrawn.sum(-1),
        "redrawn_samples": _take_picture(model, torch.where(is_redrawn, drawn, codes[:, None])),
    }


def _first_active(codes: Tensor, num: int) -> Tensor:  # (M, D) -> (at most num,) int64
    """Choose the first codes that are not empty, then, if they are too few, empty ones."""
    return (codes == 0).all(1).to(torch.uint8).argsort(stable=True)[:num]


def _order_by_size(codes: Tensor) -> Tensor:  # (M, D) -> (M, D) int64
    """Sort the latents of each code, the entry farthest from zero first."""
    return codes.abs().argsort(dim=1, descending=True, stable=True)


def _take_picture(model: Autoencoder, codes: Tensor) -> Tensor:  # (..., D) -> (..., H, W) or (..., H, W, 3)
    """Decode codes to pictures of bytes."""
    return _arrange((255 * decode(model, codes)).round().to(torch.uint8))


def _arrange(pictures: Tensor) -> Tensor:  # (..., C, H, W) -> (..., H, W) or (..., H, W, 3)
    """Arrange pictures as they are drawn: grey ones without channels, others with their channels last."""
    return pictures.squeeze(-3) if pictures.shape[-3] == 1 else pictures.movedim(-3, -1)
