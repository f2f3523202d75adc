"""The quantities by the name that claims.yaml gives them."""

from collections.abc import Mapping

from analysis.claims.accuracy import AccuracyGrowth, AccuracyPastBest
from analysis.claims.disentanglement import SparseOverDense
from analysis.claims.divergence import DivergenceAsClaimed
from analysis.claims.levels import Level, SecondsPerEpoch, SettingDifference
from analysis.claims.models_compared import VaeOverVsc
from analysis.claims.optimum import Optimum
from analysis.claims.probes_compared import AdvantageByProbe, ProbeOverProbe
from analysis.claims.quantity import Quantity
from analysis.claims.rates import ShareBelow
from analysis.claims.sparsity import SmallestOverLargestAlpha, SparsityByAlpha
from analysis.claims.training_length import BoundGained, GapClosed, StillToGain

QUANTITIES: Mapping[str, type[Quantity]] = {
    "optimum": Optimum,
    "vae_over_vsc": VaeOverVsc,
    "accuracy_past_best": AccuracyPastBest,
    "accuracy_growth": AccuracyGrowth,
    "probe_over_probe": ProbeOverProbe,
    "advantage_by_probe": AdvantageByProbe,
    "level": Level,
    "sparsity_by_alpha": SparsityByAlpha,
    "smallest_over_largest_alpha": SmallestOverLargestAlpha,
    "share_below": ShareBelow,
    "bound_gained": BoundGained,
    "still_to_gain": StillToGain,
    "gap_closed": GapClosed,
    "setting_difference": SettingDifference,
    "divergence_as_claimed": DivergenceAsClaimed,
    "seconds_per_epoch": SecondsPerEpoch,
    "sparse_over_dense": SparseOverDense,
}
