"""The fields of a study file, each checked by itself, and properties that follow from them."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema, create_model

from analysis import wording
from analysis.metrics import metric_of
from harness.datasets import DatasetName
from harness.metrics import EVALUATION_METRICS, TEST_METRICS, TRAIN_METRICS, VALIDATION_METRICS, Evaluation, Measures
from harness.plugins.source import Plugin
from harness.plugins.use import use_plugins
from harness.study.constraints import Constraint
from harness.study.domains import Domain, Finite, Interval, build_json_schema, parse_domain
from harness.study.notify import Notify
from harness.study.origin import Origin
from harness.study.sections import (
    ADAPTIVE_SAMPLERS,
    Confirm,
    Count,
    FigureName,
    Frozen,
    Resources,
    Scheduler,
    Search,
    Whole,
)
from models.setting import SETTINGS, applies, belongs, default_of
from models.settings import DECIDING, DEFAULTS, FIELDS, TrialSettings

RESERVED_NAMES = ("mlartifacts", "report", "unfinished")
"""Folders among results, or among what is published, that do not belong to a study."""

SLUG = wording.SLUG
MAX_NAME = 80
MAX_TRIALS = 100_000


def _as_domain(name: str) -> Any:
    """Make the pydantic type of one setting in a study."""
    return Annotated[
        Finite | Interval | None,
        PlainValidator(lambda raw: parse_domain(name, raw)),
        PlainSerializer(lambda domain: domain and domain.spelling),
        WithJsonSchema(build_json_schema(name)),
    ]


_DOMAINS: dict[str, Any] = {name: (_as_domain(name), None) for name in FIELDS if name != "seed"}


_SEEDS: Any = {"items": {"type": "integer", "minimum": 0}, "minItems": 1, "uniqueItems": True}
_OF_SUB_SPACE = "with grid: seeds of this sub-space, in the place of the study's"
_SEEDED: dict[str, Any] = {
    "seeds": (
        Annotated[tuple[Whole, ...], WithJsonSchema({"type": "array", **_SEEDS})] | None,
        Field(default=None, strict=False, description=_OF_SUB_SPACE),
    )
}

if TYPE_CHECKING:
    Defaults = Frozen

    class SubSpace(Frozen):
        """A sub-space of the study's space."""

        seeds: tuple[int, ...] | None
else:
    # The fields are made from a trial's settings, so that none is written down twice.
    Defaults = create_model(
        "Defaults",
        __base__=Frozen,
        __doc__="A product of domains, one for each setting that is given.",
        **_DOMAINS,
    )
    SubSpace = create_model("SubSpace", __base__=Defaults, __doc__=Defaults.__doc__, **_SEEDED)


def _check_slug(name: str) -> str:
    if not SLUG.fullmatch(name) or len(name) > MAX_NAME:
        raise ValueError(
            f"{name!r} is not a slug; use a-z, 0-9 and single - or _, at most {MAX_NAME}, such as elbo-vs-latent-dim"
        )
    if name in RESERVED_NAMES:
        raise ValueError(f"{name!r} is another folder's name among results or published studies; choose another")
    return name


def list_models(sub: Mapping[str, Domain]) -> list[str]:
    """The models that a sub-space names: one, if it is legal."""
    domain = sub.get("model")
    return [str(model) for model in domain.values] if isinstance(domain, Finite) else []


def list_choices_of(sub: Mapping[str, Domain]) -> list[dict[str, Any]]:
    """Every combination of the settings that others depend on, as a sub-space has them."""
    values = {name: domain.values for name in DECIDING if isinstance(domain := sub.get(name), Finite)}
    return [dict(zip(values, combination, strict=True)) for combination in itertools.product(*values.values())]


class StudyFields(Frozen):
    """The content of a study file, each field checked by itself, and properties that follow from it."""

    loaded_plugins: ClassVar[tuple[Plugin, ...]] = ()
    """Its plug-ins as they were when its file was read, which made a class of studies for them."""

    name: Annotated[str, AfterValidator(_check_slug)] = Field(
        description="a slug; names the results folder",
        json_schema_extra={"pattern": f"^{SLUG.pattern}$", "maxLength": MAX_NAME},
    )
    dataset: DatasetName = Field(description="the images")
    plugins: tuple[str, ...] = Field(
        default=(),
        strict=False,
        description="modules, beside this file or installed, that register models, networks or datasets",
        json_schema_extra={"uniqueItems": True},
    )
    defaults: Defaults = Field(default=Defaults(), description="settings of every sub-space")
    space: tuple[SubSpace, ...] = Field(
        strict=False, description="sub-spaces; the study is their union", json_schema_extra={"minItems": 1}
    )
    seeds: tuple[Whole, ...] = Field(
        default=(0,), strict=False, description="each configuration runs once per seed", json_schema_extra=_SEEDS
    )
    search: Search = Field(default=Search(), description="how configurations are chosen")
    scheduler: Scheduler = Field(default=Scheduler(), description="which trials are stopped early")
    confirm: Confirm | None = Field(default=None, description="train the best again, over seeds; default: do not")
    evaluate: tuple[Evaluation, ...] = Field(
        default=("elbo", "iw_bound", "sparsity"),
        strict=False,
        description="what is measured at the end of a trial",
    )
    figures: tuple[FigureName, ...] | None = Field(
        default=None, strict=False, description="what is drawn of it; default: every figure that its tables can support"
    )
    iw_samples: Count = Field(default=50, description="samples of the importance-weighted bound")
    probe_width: Count = Field(
        default=128, description="hidden units of the probe of two layers; the reproduction names no number"
    )
    checkpoint_every: Count = Field(default=10, description="epochs between checkpoints")
    resources: Resources = Field(default=Resources(), description="what one trial takes")
    notify: Notify | None = Field(
        default=None,
        description="whom to tell, as JSON, that a run is done, has failed or was stopped: a webhook's address, the "
        "variable that has it, such as $SPIKESLAB_NOTIFY, or the words of a command; an address is not stored",
    )

    @classmethod
    def use_plugins(cls) -> None:
        """Make its plug-ins those of this process, which may have read other studies meanwhile."""
        use_plugins(cls.loaded_plugins)

    @cached_property
    def origin(self) -> Origin | None:
        """Where it was read, as `load_study` notes; None if it was made in Python."""
        return None

    def place_complaint(self, complaint: str) -> str:
        """Say where a mistake stands that only the dataset shows. complaint: begins with the field, and a colon."""
        place = self.origin.locate_name(complaint.partition(":")[0]) if self.origin else f"study {self.name}"
        return f"{place}: {complaint}"

    def section_of(self, i: int, setting: str) -> str:
        """Where the file gives a setting of the i-th sub-space: the sub-space itself, or the defaults."""
        is_default = getattr(self.space[i], setting) is None and getattr(self.defaults, setting) is not None
        return "defaults" if is_default else f"space[{i}]"

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """The study's seeds, then those that sub-spaces alone have."""
        return tuple(dict.fromkeys([*self.seeds, *(seed for sub in self.space for seed in sub.seeds or ())]))

    def count_trials(self) -> int:
        """Count the trials that the study lists, or the search draws, with all of their seeds."""
        if self.search.num_trials is not None:
            return self.search.num_trials * len(self.seeds)
        numbers = zip(self._count_points(), self.space, strict=True)
        return sum(number * len(sub.seeds or self.seeds) for number, sub in numbers)

    def count_configurations(self) -> int:
        """Count the configurations that the sampler draws, or that the grid has."""
        if self.search.num_trials is not None:
            return self.search.num_trials
        return sum(self._count_points())

    def _count_points(self) -> list[int]:
        """Count the points of the grid in each sub-space."""
        spaces = ([len(d.values) for d in sub.values() if isinstance(d, Finite)] for sub in self.sub_spaces())
        return [math.prod(sizes) for sizes in spaces]

    @property
    def is_adaptive(self) -> bool:
        """Whether metrics decide which trials run, or for how long; such metrics need validation images."""
        steers = self.search.sampler in ADAPTIVE_SAMPLERS or self.scheduler.name != "fifo"
        return steers or self.confirm is not None

    def constraints_of(self, phase: str) -> tuple[Constraint, ...]:
        """What trials of a phase are judged by: the best of a search are trained otherwise where they are confirmed."""
        return self.search.constraints if phase == "search" else ()

    @property
    def can_hold_out(self) -> bool:
        """Whether the file asks to hold images out for validation."""
        return any(sub["num_validation"].largest > 0 for sub in self.sub_spaces() if "num_validation" in sub)

    @property
    def objectives(self) -> tuple[str, ...]:
        """The metrics that the search optimises or, if it optimises none, that `best so far` shows."""
        given = self.search.metric
        if given is None:
            return ("val/elbo",) if self.is_adaptive or self.can_hold_out else ("test/loss",)
        return (given,) if isinstance(given, str) else given

    @property
    def metric(self) -> str:
        """The first objective."""
        return self.objectives[0]

    @property
    def has_one_best(self) -> bool:
        """Whether it ends with one order of configurations: several metrics have none, and pbt no configuration."""
        return len(self.objectives) == 1 and self.scheduler.name != "pbt"

    @property
    def mode(self) -> Literal["max", "min"]:
        """Whether a higher (max) or a lower (min) value of the first objective is better."""
        return metric_of(self.metric).mode

    @property
    def directions(self) -> list[Literal["maximize", "minimize"]]:
        """The direction of each objective, in Optuna's words."""
        return ["minimize" if metric_of(metric).is_lower_better else "maximize" for metric in self.objectives]

    @property
    def measures(self) -> Measures:
        """What each trial of this study measures."""
        return Measures(tuple(self.evaluate), self.iw_samples, self.checkpoint_every, self.probe_width)

    def list_metrics(self) -> list[str]:
        """List every metric that a trial of this study yields."""
        final = [name for group in self.evaluate for name in EVALUATION_METRICS[group]]
        return [*TRAIN_METRICS, *TEST_METRICS, *VALIDATION_METRICS, *final]

    @cached_property
    def varied_settings(self) -> tuple[str, ...]:
        """The settings, but for model and seed, in which trials of one model differ."""
        extents: dict[tuple[Any, str], set[tuple[Any, ...]]] = {}
        for given in self.list_extents():
            for name, extent in given.items():
                extents.setdefault((given["model"], name), set()).add(extent)
        apart = {
            name for (_, name), found in extents.items() if len(found) > 1 or any(len(extent) > 1 for extent in found)
        }
        return tuple(name for name in type(self.defaults).model_fields if name in apart)

    def list_extents(self) -> list[dict[str, tuple[Any, ...]]]:
        """What each setting of each sub-space's model ranges over, however it is spelled, or its default."""
        extents = []
        for sub in self.sub_spaces():
            (model,) = list_models(sub)
            meant = {name for beside in list_choices_of(sub) for name in SETTINGS if applies(name, beside)}
            names = [name for name in type(self.defaults).model_fields if belongs(name, model) and name in meant]
            extents.append({name: sub[name].extent if name in sub else (default_of(name, model),) for name in names})
        return extents

    def sub_spaces(self) -> list[dict[str, Domain]]:
        """List the sub-spaces, each with the defaults that mean something in its model and network, by setting."""
        self.use_plugins()
        return [self._with_defaults(sub) for sub in self.space]

    def _with_defaults(self, sub: Any) -> dict[str, Domain]:
        names = type(self.defaults).model_fields
        own = {name: domain for name in names if (domain := getattr(sub, name)) is not None}
        defaults = {name: domain for name in names if (domain := getattr(self.defaults, name)) is not None}
        models, choices = list_models(defaults | own), list_choices_of(defaults | own)
        meant = {name for name in defaults if any(applies(name, beside) for beside in choices)}
        belonging = {name for name in meant if all(belongs(name, model) for model in models)}
        return {name: domain for name, domain in defaults.items() if name in belonging} | own

    def resolve(self, configuration: Mapping[str, Any], seed: int, *, num_train: int) -> TrialSettings:
        """Make the settings of one trial.

        num_train: training images of the dataset; a sixth of them is held out if the study is adaptive and its file
        does not say how many.
        """
        self.use_plugins()
        chosen = dict(configuration)
        if "num_validation" not in chosen:
            chosen["num_validation"] = self._hold_out(num_train)
        held_out = chosen["num_validation"]
        if self.is_adaptive and held_out == 0:
            raise ValueError("num_validation: 0, but a search needs validation images; remove it or give more")
        if held_out >= num_train:
            raise ValueError(f"num_validation: {held_out} of {num_train} training images; leave some to train on")
        return TrialSettings.from_dict(chosen | {"seed": seed})

    def _hold_out(self, num_train: int) -> int:
        """How many images are held out of these where the file does not say."""
        return num_train // 6 if self.is_adaptive else 0

    def list_largest_batches(self, num_train: int) -> Iterator[tuple[str, int, int]]:
        """For each sub-space its largest batch, and its largest epoch, that it may ask for: setting and images.

        Beside each are the fewest images of num_train that it may train on.
        """
        for sub in self.sub_spaces():
            held_out = sub.get("num_validation")
            left = num_train - (self._hold_out(num_train) if held_out is None else held_out.largest)
            for name in ("batch_size", "images_per_epoch"):
                yield name, sub[name].largest if name in sub else DEFAULTS[name], left

    def enumerate_seeded(self) -> Iterator[tuple[dict[str, Any], tuple[int, ...]]]:
        """List every configuration of the grid with its seeds, sub-space by sub-space."""
        for sub, given in zip(self.sub_spaces(), self.space, strict=True):
            names = list(sub)
            finite = [d.values for d in sub.values() if isinstance(d, Finite)]
            for values in itertools.product(*finite):
                yield dict(zip(names, values, strict=True)), given.seeds or self.seeds


def extend_fields(kind: Any, plugins: tuple[Plugin, ...], datasets: Iterable[str]) -> Any:
    """A class of studies with plug-ins, those in use: it knows the settings that they add, and their datasets."""
    added: dict[str, Any] = {name: (_as_domain(name), None) for name in SETTINGS if name not in FIELDS}
    defaults: Any = create_model("Defaults", __base__=Defaults, **added)
    sub_space: Any = create_model("SubSpace", __base__=defaults, **_SEEDED)
    fields: Any = StudyFields.model_fields
    choices: Any = Literal[(*get_args(fields["dataset"].annotation), *datasets)]
    extended: Any = create_model(
        kind.__name__,
        __base__=kind,
        dataset=(choices, fields["dataset"]),
        defaults=(defaults, Field(default=defaults(), description=fields["defaults"].description)),
        space=(tuple[sub_space, ...], fields["space"]),
    )
    extended.loaded_plugins = plugins
    return extended
