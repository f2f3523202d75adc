"""The disentanglement scores of a model, each with its floor and its ceiling, from one table of codes."""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from models.autoencoder import Autoencoder
from models.measures.bounds import BATCH_SIZE
from models.measures.disentanglement.beta_vae import score_beta_vae
from models.measures.disentanglement.code_table import (
    CodeTable,
    Ints,
    find_active,
    make_noise_codes,
    make_perfect_codes,
    make_table,
    prune,
)
from models.measures.disentanglement.dci import score_dci
from models.measures.disentanglement.explicitness import score_explicitness
from models.measures.disentanglement.factor_vae import score_factor_vae
from models.measures.disentanglement.fitting import fitting
from models.measures.disentanglement.infomec import score_infomec
from models.measures.disentanglement.mig import compute_mig
from models.measures.disentanglement.modularity import compute_modularity
from models.measures.disentanglement.mutual_information import measure_information
from models.measures.disentanglement.sap import score_sap
from models.measures.metric_names import DCI_SCORES, REFERENCES
from models.numerics.computing import measuring
from models.pixels import ImageBytes
from models.randomness import make_key

MAX_IMAGES = 100_000
"""Images that are encoded: so many that a sample of 10,000 hardly holds one twice, in seconds, not minutes."""

Say = Callable[[str], None]
"""Is told how far a slow measure is, a sentence at a time."""


@torch.no_grad()
def make_code_table(model: Autoencoder, images: ImageBytes, factors: Ints) -> CodeTable:
    """Encode images (N, C, H, W) uint8 to the means of their posteriors, beside their factors (N, K).

    Of more than MAX_IMAGES as many are encoded, evenly spaced, the same for every model.

    Raises:
        ValueError: no factor varies.
    """
    rows = torch.linspace(0, len(images) - 1, min(len(images), MAX_IMAGES), dtype=torch.float64).round().long()
    with measuring(model):
        means = [
            model.posterior(model.to_pixels(images[batch.to(images.device)])).mean.float().cpu()
            for batch in rows.split(BATCH_SIZE)
        ]
    return make_table(torch.cat(means).numpy(), factors[rows.numpy()])


@fitting()
def measure_scores(table: CodeTable, *, seed: int) -> dict[str, float]:
    """Measure all scores but DCI, by name, with `num_active`, the number of active latents, and `num_images`.

    Inactive latents are pruned first. Each score has its floor, of noise with as many latents, and its ceiling, of the
    factors themselves, both by the same images and protocol: under the score's name with _floor and _ceiling.
    """
    measured = {
        "num_active": float(find_active(table.codes).sum()),
        "num_images": float(len(table.codes)),
    }
    for reference, codes in _list_references(table, seed=seed):
        measured |= {f"{name}{reference}": score for name, score in _score(codes, seed=seed).items()}
    return measured


@fitting()
def measure_dci(table: CodeTable, *, seed: int, say: Say = lambda _: None) -> dict[str, float]:
    """Measure DCI, on a sample of the images, with floors and ceilings as in `measure_scores`; it takes minutes.

    say: is told after each factor how far it is.
    """
    measured: dict[str, float] = {}
    for reference, codes in _list_references(table, seed=seed):
        of = {"": "the model's code", "_floor": "noise", "_ceiling": "the factors"}[reference]

        def tell(done: int, *, of: str = of, codes: CodeTable = codes) -> None:
            say(f"dci of {of}, {codes.num_latents} latents: {done} of {codes.num_factors} factors done")

        scores = score_dci(codes, make_rng(seed, "dci"), on_factor=tell)
        measured |= {f"{name}{reference}": score for name, score in zip(DCI_SCORES, scores, strict=True)}
    return measured


def make_rng(seed: int, purpose: str) -> np.random.Generator:
    """Make numpy's generator for one score of a trial: which other scores are measured changes nothing."""
    return np.random.default_rng(make_key(seed, f"evaluate/disentanglement/{purpose}"))


def _list_references(table: CodeTable, *, seed: int) -> Iterator[tuple[str, CodeTable]]:
    """Yield, by the ending of its name, the pruned code, noise with as many latents, and the factors themselves."""
    pruned = prune(table)
    noise = make_noise_codes(make_rng(seed, "noise"), len(table.codes), pruned.num_latents)
    for reference, codes in zip(REFERENCES, (pruned.codes, noise, make_perfect_codes(table.factors)), strict=True):
        yield reference, CodeTable(codes, table.factors)


def _score(table: CodeTable, *, seed: int) -> dict[str, float]:
    information, entropies = measure_information(table, make_rng(seed, "information"))
    infomec = score_infomec(table, make_rng(seed, "infomec"))
    return {
        "factor_vae": score_factor_vae(table, make_rng(seed, "factor_vae")),
        "beta_vae": score_beta_vae(table, make_rng(seed, "beta_vae")),
        "mig": compute_mig(information, entropies),
        "sap": score_sap(table, make_rng(seed, "sap")),
        "modularity": compute_modularity(information),
        "explicitness": score_explicitness(table, make_rng(seed, "explicitness")),
        "info_modularity": infomec.modularity,
        "info_explicitness": infomec.explicitness,
        "info_compactness": infomec.compactness,
    }
