"""Modularity: does each latent tell of one factor only?

Source: Ridgeway and Mozer, Learning Deep Disentangled Embeddings with the F-Statistic Loss (NeurIPS 2018), section 3.
"""

import numpy as np

from models.measures.disentanglement.code_table import Floats


def compute_modularity(information: Floats) -> float:  # (D, K) nats
    """Compute the mean over latents of 1 - (squared information on the other factors) / ((K - 1) of the best one).

    From 0 to 1; a latent without information counts as 0, and so does every latent where there is a single factor.
    """
    squared = np.square(information)
    best = squared.max(1)
    others = (squared.shape[1] - 1) * best
    spread = np.divide(squared.sum(1) - best, others, out=np.ones_like(best), where=others > 0)
    return float((1 - spread).mean())
