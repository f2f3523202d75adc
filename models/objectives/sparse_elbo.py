"""The objective of the VSC with pseudo-inputs: the weighted bound, and how far their gammas are from alpha."""

from torch import Tensor

from models.autoencoder import Autoencoder
from models.latents.latent import At
from models.latents.pseudo_inputs import PseudoInputLatent
from models.objectives.elbo import WeightedElbo
from models.objectives.objective import Terms
from models.randomness import Noise
from models.settings import TrialSettings


class SparseElbo(WeightedElbo):
    """The loss beta * rate + distortion + J KL(mean gamma of the pseudo-input || alpha).

    Source: Tonolini, Jensen and Murray-Smith, Variational Sparse Coding (UAI 2019), equation 4, with a beta of 1.
    """

    def terms(self, model: Autoencoder, x: Tensor, noise: Noise, at: At) -> Terms:
        """Compute rate and distortion, from one sample for each image, and the sparsity term."""
        assert isinstance(model.latent, PseudoInputLatent)
        rate, distortion = model.compute_elbo(x, noise, at)
        return Terms(rate, distortion, {"sparsity": model.latent.compute_sparsity(x, model.encode)})

    def loss(self, terms: Terms) -> Tensor:
        """Compute it, summed over the batch."""
        return (self.beta * terms.rate + terms.distortion + terms.added["sparsity"]).sum()


def build(settings: TrialSettings) -> SparseElbo:
    """Build the objective of a trial."""
    return SparseElbo(settings.beta)
