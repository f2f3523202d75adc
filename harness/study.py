"""A study: one YAML file that asks one question, validated, and the trials that answer it."""

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
    create_model,
    model_validator,
)

from harness.domains import Domain, Finite, Interval, build_json_schema, parse_domain
from harness.ledger import Measures
from models.settings import SETTINGS, VSC_ONLY, TrialSettings

RESERVED_NAMES = ("mlartifacts",)
"""Folders of the results that are not studies."""

SLUG = re.compile(r"[a-z0-9]+([_-][a-z0-9]+)*")
MAX_NAME = 80
MAX_TRIALS = 100_000
ADAPTIVE_SAMPLERS = ("tpe", "gp", "cmaes", "nsga2")
LOWER_IS_BETTER = ("loss", "rate", "distortion", "nonzero_fraction", "train_seconds")

Evaluation = Literal["elbo", "iw_bound", "sparsity"]
TRAIN_METRICS = ("train/loss", "train/rate", "train/distortion")
TEST_METRICS = ("test/loss",)
VALIDATION_METRICS = ("val/loss", "val/elbo", "val/rate", "val/distortion", "val/nonzero_fraction")
COST_METRICS = ("train_seconds",)
EVALUATION_METRICS: Mapping[Evaluation, tuple[str, ...]] = {
    "elbo": ("test/elbo", "test/elbo_relaxed", "test/rate", "test/distortion"),
    "iw_bound": ("test/iw_bound",),
    "sparsity": ("code/slab_prob", "code/nonzero_fraction", "code/hoyer", "code/active_units"),
}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def _check_metric(value: Any) -> str | tuple[str, ...] | None:
    names = value if isinstance(value, list | tuple) else [value]
    if value is not None and not (names and all(isinstance(name, str) for name in names)):
        raise ValueError(f"{value!r} should be the name of a metric, such as val/elbo, or a list of names")
    return tuple(value) if isinstance(value, list) else value


class Search(_Frozen):
    """How configurations are chosen from the space."""

    sampler: Literal["grid", "random", "quasirandom", "tpe", "gp", "cmaes", "nsga2"] = Field(
        default="grid",
        description="grid: all of the space; random; quasirandom: Sobol points; and Optuna's: tpe, tree-structured "
        "Parzen estimator; gp, Gaussian process; cmaes, CMA-ES; nsga2, NSGA-II, for several metrics",
    )
    num_trials: int | None = Field(default=None, ge=1, description="configurations to sample (not with grid)")
    metric: Annotated[
        str | tuple[str, ...] | None,
        PlainValidator(_check_metric),
        PlainSerializer(lambda metric: list(metric) if isinstance(metric, tuple) else metric),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
    ] = Field(
        default=None,
        description="what an adaptive sampler or scheduler steers by; for nsga2 and tpe it may be a list",
    )
    mode: Literal["max", "min"] | None = Field(default=None, description="max for bounds, min for losses")
    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="seed of the sampler")


Perturbable = Literal["learning_rate", "beta", "sharpness"]
SCHEDULER_FIELDS: Mapping[str, tuple[str, ...]] = {
    "fifo": (),
    "asha": ("grace_epochs", "reduction_factor"),
    "hyperband": ("grace_epochs", "reduction_factor"),
    "median": ("grace_epochs",),
    "pbt": ("interval", "perturb"),
}
MIN_POPULATION = 4
"""The worst quarter of a population takes over from the best quarter."""


class Scheduler(_Frozen):
    """Which trials are stopped early, or changed while they train."""

    name: Literal["fifo", "asha", "hyperband", "median", "pbt"] = Field(
        default="fifo",
        description="fifo: none; asha: successive halving; hyperband: the same in brackets of different patience, "
        "asynchronously; median: those below the median of the others; pbt: population-based training",
    )
    grace_epochs: int = Field(default=1, ge=1, description="asha, hyperband, median: no trial stops before this epoch")
    reduction_factor: int = Field(default=4, ge=2, description="asha, hyperband: one in so many goes on at each rung")
    interval: int = Field(default=5, ge=1, description="pbt: epochs of a generation")
    perturb: tuple[Perturbable, ...] = Field(
        default=("learning_rate",),
        strict=False,
        description="pbt: the settings that it changes",
        json_schema_extra={"minItems": 1, "uniqueItems": True},
    )


class Confirm(_Frozen):
    """Train the best configurations again, over seeds.

    Twice: with the validation images held out, where the best mean is the winner; and on all training images, where
    the mean of the test ELBO is the study's answer.
    """

    top: int = Field(default=5, ge=1, le=100, description="so many of the best configurations")
    seeds: tuple[int, ...] = Field(
        default=(0, 1, 2, 3, 4),
        strict=False,
        description="each of them is trained once per seed",
        json_schema_extra={"items": {"type": "integer", "minimum": 0}, "minItems": 1, "uniqueItems": True},
    )


def _check_gpu(value: Any) -> float | Literal["auto"]:
    if value == "auto":
        return "auto"
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{value!r} should be a number greater than or equal to 0, such as 0.05, or auto")
    return float(value)


class Resources(_Frozen):
    """What one trial takes of the machine."""

    cpu: float | None = Field(
        default=None,
        gt=0,
        description="processor cores, fractions allowed; default 1, or 0.05 for a trial that shares a graphics card",
    )
    gpu: Annotated[
        float | Literal["auto"],
        PlainValidator(_check_gpu),
        WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, {"const": "auto"}]}),
    ] = Field(
        default=0.0,
        description="graphics cards, fractions allowed; 0 trains on the CPU, auto packs as many trials as fit",
    )
    fuse: Literal["auto", "never"] = Field(
        default="auto",
        description="auto: trials that share a graphics card, or a core, train as one stacked model; never: each alone",
    )

    @property
    def is_fused(self) -> bool:
        """Whether trials that share a device train together."""
        shares = self.gpu == "auto" or 0 < self.gpu < 1 or (self.gpu == 0 and self.num_cpus < 1)
        return self.fuse == "auto" and shares

    @property
    def num_cpus(self) -> float:
        """Cores that a trial takes."""
        return self.cpu or (0.05 if self.gpu == "auto" or 0 < self.gpu < 1 else 1)


def _as_domain(name: str) -> Any:
    """The pydantic type of one setting in a study."""
    return Annotated[
        Finite | Interval | None,
        PlainValidator(lambda raw: parse_domain(name, raw)),
        PlainSerializer(lambda domain: domain and domain.spelling),
        WithJsonSchema(build_json_schema(name)),
    ]


_DOMAINS: dict[str, Any] = {name: (_as_domain(name), None) for name in SETTINGS if name != "seed"}

if TYPE_CHECKING:
    SubSpace = _Frozen
else:
    # A field for each setting of a trial, so that none is written down twice.
    SubSpace = create_model(
        "SubSpace",
        __base__=_Frozen,
        __doc__="A product of domains, one for each setting that is given.",
        **_DOMAINS,
    )


def _check_slug(name: str) -> str:
    if not SLUG.fullmatch(name) or len(name) > MAX_NAME:
        raise ValueError(
            f"{name!r} is not a slug; use a-z, 0-9 and single - or _, at most {MAX_NAME}, such as elbo-vs-latent-dim"
        )
    if name in RESERVED_NAMES:
        raise ValueError(f"{name!r} is a folder of MLflow's among the results; choose another name")
    return name


def _check_seeds(field: str, seeds: tuple[int, ...]) -> None:
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise ValueError(f"{field}: give at least one whole number from 0, each once, such as [0, 1, 2]")


def _mode_of(metric: str) -> Literal["max", "min"]:
    return "min" if metric.rpartition("/")[2] in LOWER_IS_BETTER else "max"


_DEFAULT_EPOCHS = parse_domain("epochs", SETTINGS["epochs"].default)


def _measure_size(value: Any) -> int:
    """Of a number itself; of hidden layers, their products."""
    return value if isinstance(value, int) else sum(a * b for a, b in itertools.pairwise([1, *value, 1]))


class Study(_Frozen):
    """One question: a dataset, a space of settings, how to search it, what to measure."""

    name: Annotated[str, AfterValidator(_check_slug)] = Field(
        description="a slug; names the results folder",
        json_schema_extra={"pattern": f"^{SLUG.pattern}$", "maxLength": MAX_NAME},
    )
    dataset: Literal["digits", "mnist", "fashion-mnist"] = Field(description="the images")
    defaults: SubSpace = Field(default=SubSpace(), description="settings of every sub-space")
    space: tuple[SubSpace, ...] = Field(
        strict=False, description="sub-spaces; the study is their union", json_schema_extra={"minItems": 1}
    )
    seeds: tuple[int, ...] = Field(
        default=(0,),
        strict=False,
        description="each configuration runs once per seed",
        json_schema_extra={"items": {"type": "integer", "minimum": 0}, "minItems": 1, "uniqueItems": True},
    )
    search: Search = Field(default=Search(), description="how configurations are chosen")
    scheduler: Scheduler = Field(default=Scheduler(), description="which trials are stopped early")
    confirm: Confirm | None = Field(default=None, description="train the best again, over seeds; default: do not")
    evaluate: tuple[Evaluation, ...] = Field(
        default=("elbo", "iw_bound", "sparsity"),
        strict=False,
        description="what is measured at the end of a trial",
    )
    iw_samples: int = Field(default=50, ge=1, description="samples of the importance-weighted bound")
    checkpoint_every: int = Field(default=10, ge=1, description="epochs between checkpoints")
    resources: Resources = Field(default=Resources(), description="what one trial takes")

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        if not self.space:
            raise ValueError("space: no sub-space, so the study has no trials; add one, such as - model: vae")
        _check_seeds("seeds", self.seeds)
        for i, sub in enumerate(self.sub_spaces()):
            self._check_sub_space(i, sub)
        self._check_search()
        self._check_objectives()
        self._check_sampler()
        self._check_scheduler()
        self._check_confirm()
        num_trials = self._count_configurations() * len(self.seeds)
        if num_trials > MAX_TRIALS:
            field = "space" if self.search.num_trials is None else "search.num_trials"
            raise ValueError(f"{field}: {num_trials:.3g} trials in all; take fewer, {MAX_TRIALS} at most")
        return self

    def _count_configurations(self) -> int:
        if self.search.num_trials is not None:
            return self.search.num_trials
        spaces = ([len(d.values) for d in sub.values() if isinstance(d, Finite)] for sub in self.sub_spaces())
        return sum(math.prod(sizes) for sizes in spaces)

    def _check_sub_space(self, i: int, sub: dict[str, Domain]) -> None:
        where = f"space[{i}]"
        model = sub.get("model")
        if not (isinstance(model, Finite) and len(model.values) == 1):
            raise ValueError(f"{where}.model: give one model to each sub-space, vae or vsc")
        if "latent_dim" not in sub:
            raise ValueError(f"{where}.latent_dim: missing; give it here or under defaults, such as latent_dim: 16")
        name = model.values[0]
        given = self.space[i].model_dump(exclude_none=True)
        for setting in VSC_ONLY:
            if name != "vsc" and setting in given:
                raise ValueError(f"{where}.{setting}: a {name} has none; remove it, or set model: vsc")
        if name == "vsc" and "alpha" not in sub:
            raise ValueError(f"{where}.alpha: missing; a vsc needs one, such as alpha: {{grid: [0.05, 0.2]}}")
        for setting, domain in sub.items():
            if self.search.sampler == "grid" and isinstance(domain, Interval):
                raise ValueError(
                    f"{where}.{setting}: a grid cannot enumerate {domain.kind}; list values with grid: [...], "
                    "or set search.sampler to random or tpe"
                )
        epochs, scheduler = sub.get("epochs"), self.scheduler.name
        if scheduler != "fifo" and isinstance(epochs, Interval):
            raise ValueError(f"{where}.epochs: {scheduler} needs one number of epochs; it stops trials before that")

    def _check_search(self) -> None:
        search, sampler = self.search, self.search.sampler
        if sampler == "grid" and search.num_trials is not None:
            raise ValueError("search.num_trials: a grid runs all of its points; remove it, or sample at random")
        if sampler != "grid" and search.num_trials is None:
            raise ValueError(f"search.num_trials: missing; say how many configurations {sampler} draws")
        if sampler in ADAPTIVE_SAMPLERS and len(self.seeds) > 1:
            raise ValueError(
                f"seeds: {sampler} trains each configuration once; give one seed, and train the best ones again over "
                "several with confirm: {seeds: [0, 1, 2]}"
            )

    def _check_objectives(self) -> None:
        available = [*self.list_metrics(), *COST_METRICS]
        for metric in self.objectives:
            if metric not in available:
                raise ValueError(f"search.metric: no evaluation yields {metric!r}; use one of {', '.join(available)}")
            if metric.startswith("val/") and not (self.is_adaptive or self._can_hold_out):
                raise ValueError(f"search.metric: {metric} needs validation images; add num_validation under defaults")
            if self.is_adaptive and metric not in (*TRAIN_METRICS, *VALIDATION_METRICS, *COST_METRICS):
                raise ValueError(
                    f"search.metric: {metric} would choose hyperparameters on the test set or only once a trial "
                    "has ended; use val/elbo"
                )
        sampler, several = self.search.sampler, len(self.objectives) > 1
        if len(set(self.objectives)) < len(self.objectives):
            raise ValueError(f"search.metric: a metric stands twice in {list(self.objectives)}; remove one")
        if several and sampler not in ("nsga2", "tpe"):
            raise ValueError(f"search.metric: {sampler} steers by one metric; give one, or use nsga2 or tpe")
        if sampler == "nsga2" and not several:
            raise ValueError(
                "search.metric: nsga2 weighs several metrics against each other; give a list such as "
                "[val/rate, val/distortion], or use tpe"
            )
        if self.search.mode is not None and (several or self.search.mode != self.mode):
            right = "each metric knows its own; remove mode" if several else f"use mode: {self.mode}"
            raise ValueError(f"search.mode: {self.metric} is to be {self.mode}imised; {right}")

    def _check_sampler(self) -> None:
        sampler, spaces = self.search.sampler, self.sub_spaces()
        if sampler in ("gp", "cmaes", "nsga2") and len(spaces) > 1:
            raise ValueError(
                f"search.sampler: {sampler} needs one space, and here are {len(spaces)}; keep one sub-space, or use "
                "tpe, random or quasirandom"
            )
        if sampler == "cmaes":
            searched = {name: d for name, d in spaces[0].items() if isinstance(d, Interval) or len(d.values) > 1}
            for name, domain in searched.items():
                if isinstance(domain, Finite) and domain.kind != "range":
                    raise ValueError(
                        f"space[0].{name}: cmaes searches intervals, and this is a {domain.kind}; write it as int, "
                        "uniform or loguniform, or use tpe or gp"
                    )
            if len(searched) < 2:
                raise ValueError("search.sampler: cmaes needs two settings to search at least; use tpe or gp")

    def _check_scheduler(self) -> None:
        scheduler, name = self.scheduler, self.scheduler.name
        changed = (f for f, info in Scheduler.model_fields.items() if getattr(scheduler, f) != info.default)
        for field in sorted({*changed} - {"name", *SCHEDULER_FIELDS[name]}):
            owners = [owner for owner, fields in SCHEDULER_FIELDS.items() if field in fields]
            raise ValueError(f"scheduler.{field}: {name} has none; remove it, or use {' or '.join(owners)}")
        if name != "fifo" and (len(self.objectives) > 1 or self.metric in COST_METRICS):
            raise ValueError(f"scheduler.name: {name} compares trials by one metric of an epoch; use fifo or val/elbo")
        if name == "pbt":
            self._check_population()

    def _check_population(self) -> None:
        sampler, perturb = self.search.sampler, self.scheduler.perturb
        if sampler in ADAPTIVE_SAMPLERS:
            raise ValueError(
                f"scheduler.name: pbt trains a population that starts together, and {sampler} learns from trials that "
                "have ended; use grid, random or quasirandom"
            )
        if len(self.seeds) > 1:
            raise ValueError("seeds: pbt trains one population; give one seed")
        if not perturb or len(set(perturb)) < len(perturb):
            raise ValueError("scheduler.perturb: give at least one setting, each once, such as [learning_rate]")
        if "sharpness" in perturb and not any("alpha" in sub for sub in self.sub_spaces()):
            raise ValueError("scheduler.perturb: a vae has no sharpness; remove it, or add a vsc")
        names = ", ".join(perturb)
        for i, sub in enumerate(self.sub_spaces()):
            # A population has one architecture and one prior: what is taken over must fit.
            size = math.prod(len(d.values) for name, d in sub.items() if name in perturb and isinstance(d, Finite))
            if sampler == "grid" and size < MIN_POPULATION:
                raise ValueError(
                    f"space[{i}]: pbt needs a population of {MIN_POPULATION} at least, and {names} have {size} "
                    f"values here; give more, or draw them: search: {{sampler: random, num_trials: 8}}"
                )
            others = [name for name, d in sub.items() if name not in perturb and len(getattr(d, "values", "ab")) > 1]
            if sampler != "grid" and (others or i):
                where = f"space[{i}].{others[0]}" if others else "space"
                raise ValueError(
                    f"{where}: pbt changes {names} alone, in one population; give one value, or use sampler grid"
                )
        if sampler != "grid" and self._count_configurations() < MIN_POPULATION:
            raise ValueError(f"search.num_trials: pbt needs a population of {MIN_POPULATION} at least")
        epochs, *rest = (sub.get("epochs", _DEFAULT_EPOCHS) for sub in self.sub_spaces())
        if any(other != epochs for other in rest) or not isinstance(epochs, Finite) or len(epochs.values) > 1:
            raise ValueError("defaults.epochs: pbt trains a whole population equally long; give one number")
        if epochs.values[0] <= self.scheduler.interval:
            raise ValueError(
                f"scheduler.interval: {self.scheduler.interval} of {epochs.values[0]} epochs leave no second "
                "generation; give fewer"
            )

    def _check_confirm(self) -> None:
        if self.confirm is None:
            return
        _check_seeds("confirm.seeds", self.confirm.seeds)
        if len(self.objectives) > 1:
            raise ValueError("confirm: several metrics have no one best; remove it, or search by one metric")
        if not self.metric.startswith("val/"):
            raise ValueError(f"confirm: the best is chosen on validation images, not by {self.metric}; use val/elbo")
        if self.scheduler.name == "pbt":
            raise ValueError("confirm: what pbt arrives at is no one configuration; remove it, or use fifo or asha")
        if "elbo" not in self.evaluate:
            raise ValueError("confirm: its answer is the test ELBO; add elbo to evaluate")

    @property
    def is_adaptive(self) -> bool:
        """Whether metrics steer which trials run, or for how long: such metrics need a validation split."""
        steers = self.search.sampler in ADAPTIVE_SAMPLERS or self.scheduler.name != "fifo"
        return steers or self.confirm is not None

    @property
    def _can_hold_out(self) -> bool:
        return any("num_validation" in sub for sub in self.sub_spaces())

    @property
    def objectives(self) -> tuple[str, ...]:
        """What the search steers by, or, where nothing steers, what `best so far` shows."""
        given = self.search.metric
        if given is None:
            return ("val/elbo",) if self.is_adaptive or self._can_hold_out else ("test/loss",)
        return (given,) if isinstance(given, str) else given

    @property
    def metric(self) -> str:
        """The first objective."""
        return self.objectives[0]

    @property
    def mode(self) -> Literal["max", "min"]:
        """Whether more or less of the first objective is better."""
        return _mode_of(self.metric)

    @property
    def directions(self) -> list[Literal["maximize", "minimize"]]:
        """Which way each objective is to go, in Optuna's words."""
        return ["maximize" if _mode_of(metric) == "max" else "minimize" for metric in self.objectives]

    @property
    def measures(self) -> Measures:
        """What each trial of this study measures."""
        return Measures(tuple(self.evaluate), self.iw_samples, self.checkpoint_every)

    def list_metrics(self) -> list[str]:
        """Every metric that a trial of this study yields."""
        final = [name for group in self.evaluate for name in EVALUATION_METRICS[group]]
        return [*TRAIN_METRICS, *TEST_METRICS, *VALIDATION_METRICS, *final]

    @property
    def largest_settings(self) -> TrialSettings:
        """Settings of a trial that takes at least as much memory as any of the study: the largest of each."""
        largest: dict[str, Any] = {"model": "vae", "latent_dim": 1, "hidden": (1,), "batch_size": 1}
        for sub in self.sub_spaces():
            for name in ("latent_dim", "hidden", "batch_size"):
                match sub.get(name):
                    case None:
                        values: tuple[Any, ...] = (SETTINGS[name].default,)
                    case Finite() as domain:
                        values = domain.values
                    case Interval() as domain:
                        values = (int(domain.high),)
                largest[name] = max((largest[name], *values), key=_measure_size)
            if "alpha" in sub:
                largest |= {"model": "vsc", "alpha": 0.5}
        return TrialSettings(**largest)

    def sub_spaces(self) -> list[dict[str, Domain]]:
        """Each sub-space with the defaults that apply to its model, by setting."""
        return [self._with_defaults(sub) for sub in self.space]

    def _with_defaults(self, sub: Any) -> dict[str, Domain]:
        own = {name: domain for name in SETTINGS if (domain := getattr(sub, name, None)) is not None}
        defaults = {name: domain for name in SETTINGS if (domain := getattr(self.defaults, name, None)) is not None}
        model = (own | defaults).get("model")
        has_spike = isinstance(model, Finite) and model.values == ("vsc",)
        return {name: d for name, d in defaults.items() if has_spike or name not in VSC_ONLY} | own

    def resolve(self, configuration: Mapping[str, Any], seed: int, *, num_train: int) -> TrialSettings:
        """The settings of one trial.

        num_train: training images of the dataset; a sixth of them is held out where the study is adaptive and the
        file does not say how many.
        """
        chosen = dict(configuration)
        if "num_validation" not in chosen:
            chosen["num_validation"] = num_train // 6 if self.is_adaptive else 0
        held_out = chosen["num_validation"]
        if self.is_adaptive and held_out == 0:
            raise ValueError("num_validation: 0, but a search needs validation images; remove it or give more")
        if held_out >= num_train:
            raise ValueError(f"num_validation: {held_out} of {num_train} training images; leave some to train on")
        return TrialSettings(**chosen, seed=seed)

    def enumerate_grid(self) -> Iterator[dict[str, Any]]:
        """Every configuration of the grid, sub-space by sub-space."""
        for sub in self.sub_spaces():
            names = list(sub)
            finite = [d.values for d in sub.values() if isinstance(d, Finite)]
            for values in itertools.product(*finite):
                yield dict(zip(names, values, strict=True))
