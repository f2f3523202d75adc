"""The evidence lower bound with a capacity: the rate is drawn to a number of nats that rises over training."""

from torch import Tensor

from models.autoencoder import Autoencoder
from models.latents.latent import At
from models.objectives.objective import Objective, Terms
from models.randomness import Noise
from models.settings import TrialSettings


class CapacityElbo(Objective):
    """The loss beta |mean rate of the batch - C| + distortion, with C from 0 to `capacity` in `num_steps` steps.

    Source: Burgess et al., Understanding disentangling in beta-VAE (2018), equation 8, whose gamma is our beta.
    """

    has_schedule = True

    def __init__(self, beta: float, capacity: float, num_steps: int) -> None:
        """capacity: nats per image."""
        super().__init__()
        self.beta, self.capacity, self.num_steps = beta, capacity, num_steps

    def terms(self, model: Autoencoder, x: Tensor, noise: Noise, at: At) -> Terms:
        """Compute rate, distortion, and the step's capacity, the same for each image."""
        rate, distortion = model.compute_elbo(x, noise, at)
        share = min(at.step / self.num_steps, 1.0)
        return Terms(rate, distortion, {"capacity": rate.new_full(rate.shape, self.capacity * share)})

    def loss(self, terms: Terms) -> Tensor:
        """Compute it, summed over the batch."""
        distance = (terms.rate.mean() - terms.added["capacity"].mean()).abs()
        return self.beta * distance * len(terms.rate) + terms.distortion.sum()


def build(settings: TrialSettings) -> CapacityElbo:
    """Build the objective of a trial."""
    assert settings.capacity is not None
    assert settings.capacity_steps is not None
    return CapacityElbo(settings.beta, settings.capacity, settings.capacity_steps)
