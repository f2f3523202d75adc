"""MIG, the mutual information gap: how much more does the best latent tell of a factor than the second best?

Source: Chen et al., Isolating Sources of Disentanglement in Variational Autoencoders (NeurIPS 2018), section 4.
"""

import numpy as np

from models.measures.disentanglement.code_table import Floats


def compute_mig(information: Floats, entropies: Floats) -> float:  # (D, K), (K,) nats
    """Compute the mean over factors of (largest - second largest information) / entropy, from 0 to 1.

    A single latent has no second: its whole information counts.
    """
    ranked = np.sort(np.vstack([information, np.zeros(information.shape[1])]), axis=0)
    return float(((ranked[-1] - ranked[-2]) / entropies).mean())
