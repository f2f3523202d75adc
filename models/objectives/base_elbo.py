"""The objective of thresholded latents: the distortion of their codes beside the rate of what they are made from."""

from torch import Tensor

from models.autoencoder import Autoencoder
from models.latents.latent import At
from models.latents.thresholded import ThresholdedLatent
from models.objectives.elbo import WeightedElbo
from models.objectives.objective import Terms
from models.randomness import Noise
from models.settings import TrialSettings


class BaseElbo(WeightedElbo):
    """The loss beta * rate + distortion, the rate being that of the Gaussians before the threshold.

    It is not the ELBO of the thresholded model: the codes that the decoder sees are not those that this rate is of. At
    a beta of 1 it is a bound all the same, a looser one, as `ThresholdedLatent.compute_base_rate` shows; at the weights
    below 1 of the paper it is none. What is measured of a trained model has the rate of the thresholded codes.

    Source: Fallah and Rozell, Variational Sparse Coding with Learned Thresholding (ICML 2022).
    """

    def terms(self, model: Autoencoder, x: Tensor, noise: Noise, at: At) -> Terms:
        """Compute rate and distortion, from one sample for each image, and the rate of the thresholded codes."""
        assert isinstance(model.latent, ThresholdedLatent)
        elbo, q, _ = model.compute_elbo_and_codes(x, noise, at)
        return Terms(model.latent.compute_base_rate(q), elbo.distortion, {"thresholded_rate": elbo.rate.detach()})


def build(settings: TrialSettings) -> BaseElbo:
    """Build the objective of a trial."""
    return BaseElbo(settings.beta)
