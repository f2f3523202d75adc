"""What a plug-in registers: models with settings of their own, networks, datasets."""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass
from typing import TYPE_CHECKING, Any, get_type_hints

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from harness.columns import COLUMNS
from harness.datasets import DATASET_NAMES, Dataset, make_dataset
from harness.errors import InputError, first_line
from models.additions import Additions
from models.choices import MODELS, NETWORKS, ImageShape, Network, Parts
from models.setting import setting
from models.settings import FIELDS, TrialSettings

if TYPE_CHECKING:
    import torch
    from torch import nn

    from models.latents.latent import Latent
    from models.objectives.objective import Objective

NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")
TYPES = (int, float, tuple[int, ...])
RESERVED = frozenset((*COLUMNS, *dir(TrialSettings), *dir(BaseModel)))
"""Columns of tables, which a setting would be mistaken for, and attributes that would hide it or be hidden."""

Arrays = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]
ArraysAndFactors = tuple[*Arrays, NDArray[np.integer[Any]]]


@dataclass(frozen=True)
class Registered:
    """What the plug-ins of a study have registered."""

    additions: Additions
    datasets: Mapping[str, Callable[[], Dataset]]


class Registry:
    """Takes what a plug-in has to offer. Each method raises ValueError for a name that is taken or not legal."""

    def __init__(self) -> None:
        self._plugin = ""  # SHA-256 of the plug-in that registers now
        self._models: dict[str, Parts] = {}
        self._networks: dict[str, Network] = {}
        self._settings: dict[str, Field[Any]] = {}
        self._types: dict[str, Any] = {}
        self._datasets: dict[str, Callable[[], Dataset]] = {}

    def add_model(
        self,
        name: str,
        *,
        latent: "str | Callable[[TrialSettings], Latent]",
        num_heads: int,
        objective: "str | Callable[[TrialSettings], Objective]" = "elbo",
        settings: type | None = None,
        also: Sequence[str] = (),
    ) -> None:
        """Register a model, `model: NAME` in study files.

        latent: makes the latent variables of a trial's settings, or the name of one of ours: gaussian, spike_and_slab.
        num_heads: outputs of the encoder for each latent dimension. objective: the same for the training objective.
        settings: a class whose annotated fields (int, float or tuple[int, ...]), each made by `setting`, are settings
        that this model alone has; `settings.NAME` of a trial has their values. also: our settings of other models that
        this one has, too, such as alpha.
        """
        _check_name("model", name, MODELS.maps[-1], self._models)
        heads = {parts.latent: parts.num_heads for parts in MODELS.maps[-1].values()}
        _check_part("latent", latent, 1, list(heads))
        _check_part("objective", objective, 1, [parts.objective for parts in MODELS.maps[-1].values()])
        if isinstance(latent, str) and num_heads != heads[latent]:
            raise ValueError(
                f"num_heads: a {latent} latent has {heads[latent]} for each dimension; give num_heads={heads[latent]}"
            )
        self._models[name] = Parts(latent, num_heads, objective, self._plugin)
        for ours in also:
            if not FIELDS.get(ours) or not FIELDS[ours].metadata["of"]:
                raise ValueError(f"also: {ours} is no setting of some models alone")
            self._settings[ours] = _extend(self._settings.get(ours, FIELDS[ours]), name)
        for own, kind in (get_type_hints(settings) if settings is not None else {}).items():
            if own in FIELDS or own in self._settings or own in RESERVED or not NAME.fullmatch(own):
                raise ValueError(f"setting {own}: the name is taken or not legal; choose another")
            declared = getattr(settings, own, None)
            if not isinstance(declared, Field) or "help" not in declared.metadata or kind not in TYPES:
                raise ValueError(
                    f"setting {own}: write it as `{own}: float = setting(1.0, meaning=...)`, or as int or "
                    "tuple[int, ...]"
                )
            self._settings[own] = _extend(declared, name)
            self._types[own] = kind

    def add_network(
        self,
        name: str,
        build: "Callable[[TrialSettings, ImageShape, torch.Generator | None], tuple[nn.Module, nn.Module]]",
    ) -> None:
        """Register a network, `network: NAME` in study files.

        build: makes the encoder, images (B, C, H, W) in [0, 1] -> (B, num_heads, latent_dim), and the decoder, codes
        (..., latent_dim) -> (..., C, H, W), of a trial's settings and an image's (channels, height, width);
        `settings.parts.num_heads` is the model's. Initial parameters come from the trial's seed: from the generator, or
        as torch's layers draw them by themselves.
        """
        _check_name("network", name, NETWORKS.maps[-1], self._networks)
        _check_part("build", build, 3)
        self._networks[name] = Network(build, self._plugin)

    def add_dataset(
        self, name: str, load: Callable[[], Arrays | ArraysAndFactors], factors: Sequence[str] = ()
    ) -> None:
        """Register a dataset, `dataset: NAME` in study files.

        load: returns training images, training labels, test images and test labels: images (N, C, H, W) uint8, 0 is
        black and 255 white, labels (N,) uint8; without labels zeros, and then no evaluation that needs classes, such as
        probe. It is called by the process that starts the study, and has to return the same arrays each time: the
        trials are named by their content, and by nothing else of a plug-in that registers datasets alone.
        factors: the names of the factors that the images were made from, two at least, if scores of disentanglement are
        to be measured. load then returns a fifth array, their classes in the training images, (N, factors) integers
        from 0.
        """
        _check_name("dataset", name, DATASET_NAMES, self._datasets)
        if isinstance(factors, str):
            raise ValueError(f"factors: {factors!r} is text; give a tuple of names, such as ('shape', 'x')")
        for i, factor in enumerate(factors):
            _check_name("factor", factor, factors[:i])
        self._datasets[name] = lambda: _load(name, load, tuple(factors))

    def collect(self, register: Callable[["Registry"], None], plugin: str) -> None:
        """Let a plug-in register. plugin: SHA-256 of its source."""
        self._plugin = plugin
        register(self)

    def finish(self) -> Registered:
        """What has been registered."""
        additions = Additions(self._models, self._networks, self._settings, self._types)
        return Registered(additions, self._datasets)


def _load(name: str, load: Callable[[], Arrays | ArraysAndFactors], factors: tuple[str, ...]) -> Dataset:
    try:
        arrays, classes = _part_factors([*load()], factors)
        return make_dataset(name, *arrays, factors=factors, train_factors=classes)
    except InputError:
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {first_line(error)}"
        raise InputError(f"dataset {name}: the plug-in's load() gives no dataset ({why}); mend it") from None


def _part_factors(arrays: list[Any], factors: tuple[str, ...]) -> tuple[list[Any], Any]:
    """Tell the fifth array, if there is one, from the others."""
    if len(arrays) == 5 and not factors:
        raise ValueError("of a fifth array the factors are named: add_dataset(name, load, factors=(...))")
    return arrays[:4] + arrays[5:], next(iter(arrays[4:5]), None)


def _check_name(what: str, name: str, *taken: Any) -> None:
    if not NAME.fullmatch(name):
        raise ValueError(f"{what} {name!r}: no legal name; use a-z, 0-9 and single - or _")
    if any(name in names for names in taken):
        raise ValueError(f"{what} {name}: the name is taken; choose another")


def _check_part(what: str, part: Any, num_arguments: int, ours: Sequence[Any] = ()) -> None:
    """Refuse what builds no part, before a trial would. ours: the names of our own parts that may stand for one."""
    if not callable(part):
        if part not in ours:
            names = f"{', '.join(dict.fromkeys(ours))}, or " if ours else ""
            raise ValueError(f"{what}: {part!r} is none; use {names}a function")
        return
    try:
        inspect.signature(part).bind(*[None] * num_arguments)
    except TypeError as error:
        given = ("settings", "image_shape", "generator")[:num_arguments]
        raise ValueError(f"{what}: it is called as {what}({', '.join(given)}): {error}; mend its arguments") from None
    except ValueError:  # of what is built in, whose arguments nobody knows
        pass


def _extend(declared: Field[Any], model: str) -> Field[Any]:
    """A setting that one more model has."""
    keywords = {key: declared.metadata[key] for key in ("at_least", "at_most", "below", "or_zero", "example")}
    of, default, meaning = (declared.metadata[key] for key in ("of", "default", "help"))
    made: Field[Any] = setting(default, meaning=meaning, of=(*of, model), **keywords)
    return made
