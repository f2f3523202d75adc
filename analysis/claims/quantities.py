"""The quantities by the name that claims.yaml gives them."""

from collections.abc import Mapping

from analysis.claims.accuracy_growth import AccuracyGrowth
from analysis.claims.accuracy_past_best import AccuracyPastBest
from analysis.claims.divergence import DivergenceAsClaimed
from analysis.claims.levels import Level, SecondsPerEpoch, SettingDifference
from analysis.claims.models_compared import VaeOverVsc
from analysis.claims.optimum import Optimum
from analysis.claims.probes_compared import ProbeOverProbe
from analysis.claims.quantity import Quantity
from analysis.claims.sparsity import SparsityByAlpha
from analysis.claims.training_length import GapClosed, StillToGain

QUANTITIES: Mapping[str, type[Quantity]] = {
    "optimum": Optimum,
    "vae_over_vsc": VaeOverVsc,
    "accuracy_past_best": AccuracyPastBest,
    "accuracy_growth": AccuracyGrowth,
    "probe_over_probe": ProbeOverProbe,
    "level": Level,
    "sparsity_by_alpha": SparsityByAlpha,
    "still_to_gain": StillToGain,
    "gap_closed": GapClosed,
    "setting_difference": SettingDifference,
    "divergence_as_claimed": DivergenceAsClaimed,
    "seconds_per_epoch": SecondsPerEpoch,
}
