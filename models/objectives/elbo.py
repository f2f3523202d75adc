"""The negative evidence lower bound, with a weight on the rate."""

from torch import Tensor

from models.autoencoder import Autoencoder
from models.latents.latent import At
from models.objectives.objective import Objective, Terms
from models.randomness import Noise
from models.settings import TrialSettings


class WeightedElbo(Objective):
    """The loss beta * rate + distortion.

    Source: Kingma and Welling, Auto-Encoding Variational Bayes (ICLR 2014), equation 3; with a beta other than 1,
    Higgins et al., beta-VAE (ICLR 2017), equation 4.
    """

    def __init__(self, beta: float) -> None:
        super().__init__()
        self.beta = beta

    def terms(self, model: Autoencoder, x: Tensor, noise: Noise, at: At) -> Terms:
        """Compute rate and distortion, from one sample for each image."""
        return Terms(*model.compute_elbo(x, noise, at))

    def loss(self, terms: Terms) -> Tensor:
        """Compute beta * rate + distortion, summed over the batch."""
        return (self.beta * terms.rate + terms.distortion).sum()


def build(settings: TrialSettings) -> WeightedElbo:
    """Build the objective of a trial."""
    return WeightedElbo(settings.beta)
