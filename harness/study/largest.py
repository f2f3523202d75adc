"""The largest trials of a study, by which memory is measured and batches are checked, and whose code they run."""

import itertools
from typing import Any

from harness.plugins.source import Plugin
from harness.study.domains import Domain, Finite
from harness.study.fields import StudyFields, list_choices_of, list_models
from models.choices import MODELS, OF_PSEUDO_INPUTS
from models.illegal_settings import count_outputs
from models.setting import SETTING_TYPES, SETTINGS, belongs, list_required
from models.settings import FIELDS, TrialSettings

SIZES = ("latent_dim", "hidden", "batch_size")
"""Our settings that memory depends on."""

OF_OUTPUTS = ("likelihood", "variance")
"""Those that the number of the decoder's outputs depends on."""


def list_largest(study: StudyFields) -> list[TrialSettings]:
    """List settings of trials, one of which takes at least as much memory as any of the study: the largest of each.

    There is one for each network; and of each, one for each model of a plug-in, of whose size nothing is known before
    it is measured, and for each of ours with pseudo-inputs, and one for our others together: that with most heads.
    """
    largest: dict[tuple[str, str], dict[str, Any]] = {}
    for sub in study.sub_spaces():
        (model,) = list_models(sub)
        for network in _list_ends("network", sub.get("network")):
            is_of_its_own = MODELS[model].plugin or model in OF_PSEUDO_INPUTS
            key = network, model if is_of_its_own else ""
            found = largest.setdefault(key, {"model": model, "network": network})
            found["model"] = max(found["model"], model, key=lambda name: MODELS[name].num_heads)
            for name in _list_sizes(model):
                known = [found[name]] if name in found else []
                found[name] = max([*known, *_list_ends(name, sub.get(name))], key=_measure_size)
            for beside in list_choices_of(sub):
                if count_outputs(beside) > count_outputs(found):
                    found |= {name: beside[name] for name in OF_OUTPUTS if name in beside}
    return [TrialSettings.from_dict(_give_required(found["model"]) | found) for found in largest.values()]


def list_training_plugins(study: StudyFields) -> list[Plugin]:
    """List the plug-ins that models and networks of a study's trials come from; the others have datasets alone."""
    used = {sha256 for settings in list_largest(study) for sha256 in settings.plugins}
    return [plugin for plugin in study.loaded_plugins if plugin.sha256 in used]


def _list_sizes(model: str) -> list[str]:
    """The settings that memory depends on; of a plug-in's own, every whole number and every list of widths may."""
    own = [name for name in SETTINGS if name not in FIELDS and belongs(name, model)]
    sizes = SIZES if model not in OF_PSEUDO_INPUTS else (*SIZES, "num_pseudo_inputs")
    return [*sizes, *(name for name in own if SETTING_TYPES[name] in (int, tuple[int, ...]))]


def _give_required(model: str) -> dict[str, Any]:
    return {name: SETTINGS[name].metadata["example"] for name in list_required(model)}


def _list_ends(name: str, domain: Domain | None) -> tuple[Any, ...]:
    """The values of a domain, or the high end of an interval."""
    if domain is None:
        return (SETTINGS[name].metadata["default"],)
    return domain.values if isinstance(domain, Finite) else (domain.largest,)


def _measure_size(value: Any) -> int:
    """Measure the size of a setting: the number itself, or the number of weights in hidden layers."""
    return value if isinstance(value, int) else sum(a * b for a, b in itertools.pairwise([1, *value, 1]))
