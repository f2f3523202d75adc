"""The sections of a study file: search, scheduler, confirm, resources."""

import math
from collections.abc import Collection, Mapping
from itertools import count
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)

from analysis.figure_names import FIGURE_NAMES
from harness.study.constraints import EXAMPLE, ConstraintField

if TYPE_CHECKING:
    FigureName = str
else:
    FigureName = Literal[FIGURE_NAMES]
"""The figures that `figures:` of a study file may give."""

ADAPTIVE_SAMPLERS = ("tpe", "gp", "cmaes", "nsga2")


class Frozen(BaseModel):
    """A section that allows no unknown fields and cannot be changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def _as_whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**63 else value


AS_WHOLE = BeforeValidator(_as_whole)
"""A whole number may be written 1e3 or 8.0, as editors take it."""

Whole = Annotated[int, AS_WHOLE]
Count = Annotated[int, Field(ge=1), AS_WHOLE]


def _check_metric(value: Any) -> str | tuple[str, ...] | None:
    names = value if isinstance(value, list | tuple) else [value]
    if value is not None and not (names and all(isinstance(name, str) for name in names)):
        raise ValueError(f"{value!r} should be the name of a metric, such as val/elbo, or a list of names")
    return tuple(value) if isinstance(value, list) else value


class Stop(Frozen):
    """What ends an adaptive search before all of its proposals are made; trials that run are trained to their ends."""

    hours: Annotated[float, Field(gt=0)] | None = Field(
        default=None, strict=False, description="hours in which trials of the search ran, one or several at once"
    )
    epochs: Count | None = Field(default=None, description="epochs that the trials of the search have trained in all")
    gain: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        strict=False,
        description="the metric's expected gain, in its unit, by the best trial that could come next, as a Gaussian "
        "process fitted to those so far expects it: less ends the search",
    )


class Search(Frozen):
    """How configurations are chosen from the space."""

    sampler: Literal["grid", "random", "quasirandom", "tpe", "gp", "cmaes", "nsga2"] = Field(
        default="grid",
        description="grid: all of the space; random; quasirandom: Sobol points; and Optuna's: tpe, tree-structured "
        "Parzen estimator; gp, Gaussian process; cmaes, CMA-ES; nsga2, NSGA-II, for several metrics",
    )
    num_trials: Count | None = Field(default=None, description="configurations to sample (not with grid)")
    metric: Annotated[
        str | tuple[str, ...] | None,
        PlainValidator(_check_metric),
        PlainSerializer(lambda metric: list(metric) if isinstance(metric, tuple) else metric),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
    ] = Field(
        default=None,
        description="what an adaptive sampler or scheduler steers by; for gp, nsga2 and tpe it may be a list",
    )
    mode: Literal["max", "min"] | None = Field(
        default=None, description="need not be given, as each metric knows its own: max for bounds, min for losses"
    )
    seed: Annotated[int, Field(ge=0, le=2**31 - 1), AS_WHOLE] = Field(default=0, description="seed of the sampler")
    constraints: tuple[ConstraintField, ...] = Field(
        default=(),
        strict=False,
        description="tpe, gp, nsga2: what the best keep to, each a metric, <= or >=, and a number: " + EXAMPLE,
        json_schema_extra={"uniqueItems": True},
    )
    stop: Stop | None = Field(default=None, description="tpe, gp, cmaes, nsga2: what ends the search before num_trials")
    at_once: Count | None = Field(
        default=None,
        description="tpe, gp, cmaes, nsga2: trials that may run at once, with the same proposals whatever the machine "
        "and however often it is interrupted: each learns from the same earlier ones, all but the last `at_once` - 1",
    )


Perturbable = Literal["learning_rate", "beta", "sharpness"]
Resource = Literal["epochs", "steps", "seconds"]
SCHEDULER_FIELDS: Mapping[str, tuple[str, ...]] = {
    "fifo": (),
    "asha": ("grace_epochs", "reduction_factor", "resource", "grace"),
    "hyperband": ("grace_epochs", "reduction_factor"),
    "median": ("grace_epochs", "resource", "grace"),
    "pbt": ("interval", "perturb"),
}
MIN_POPULATION = 4
"""A population has a worst and a best quarter, of a member at least."""


class Scheduler(Frozen):
    """Which trials are stopped early, or changed while they train."""

    name: Literal["fifo", "asha", "hyperband", "median", "pbt"] = Field(
        default="fifo",
        description="fifo: none; asha: successive halving; hyperband: the same in brackets of different patience, "
        "asynchronously; median: those below the median of the others; pbt: population-based training",
    )
    grace_epochs: Count = Field(default=1, description="asha, hyperband, median: no trial stops before this epoch")
    resource: Resource = Field(
        default="epochs",
        description="asha, median: what trials have spent where they are compared: epochs, in which one of small "
        "batches takes many times the steps of one of large batches; steps; or seconds of training, which another "
        "machine repeats only roughly",
    )
    grace: Count = Field(
        default=1, description="asha, median, by steps or seconds: no trial stops before it has spent as many"
    )
    reduction_factor: Annotated[int, Field(ge=2), AS_WHOLE] = Field(
        default=4, description="asha, hyperband: one in this many trials passes each rung"
    )
    interval: Count = Field(default=5, description="pbt: epochs of a generation")
    perturb: tuple[Perturbable, ...] = Field(
        default=("learning_rate",),
        strict=False,
        description="pbt: the settings that it changes",
        json_schema_extra={"minItems": 1, "uniqueItems": True},
    )


class Confirm(Frozen):
    """Train the best configurations again, over seeds.

    Twice: with the validation images held out, where the best mean is the winner; and on all training images, where
    the mean of the test ELBO is the study's answer.
    """

    top: Annotated[int, Field(ge=1, le=100), AS_WHOLE] = Field(
        default=5, description="how many of the best configurations"
    )
    seeds: tuple[Whole, ...] = Field(
        default=(0, 1, 2, 3, 4),
        strict=False,
        description="each of them is trained once per seed; a seed that the search has used is replaced by a fresh one",
        json_schema_extra={"items": {"type": "integer", "minimum": 0}, "minItems": 1, "uniqueItems": True},
    )

    def choose_fresh_seeds(self, searched: Collection[int]) -> tuple[int, ...]:
        """Choose the seeds to confirm with: those given, but for each that the search has used the next one free.

        The best of a search owes its place in part to its seed, which would be lucky again.
        """
        free = (seed for seed in count() if seed not in searched and seed not in self.seeds)
        return tuple(sorted(next(free) if seed in searched else seed for seed in self.seeds))


LEAST_SHARE = 0.0001
"""The smallest share of a core or a GPU: Ray counts in these units."""


def _check_gpu(value: Any) -> float | Literal["auto"]:
    if value == "auto":
        return "auto"
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{value!r} should be a number greater than or equal to 0, such as 0.05, or auto")
    if 0 < value < LEAST_SHARE or (value > 1 and value != int(value)):
        raise ValueError(f"{value!r} should be a fraction of a card from {LEAST_SHARE}, or whole cards")
    return float(value)


class Resources(Frozen):
    """What one trial takes of the machine."""

    cpu: float | None = Field(
        default=None,
        ge=LEAST_SHARE,
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
        description="auto: trials that share a graphics card, or a core, train together, in stacks; never: each alone",
    )

    @property
    def is_fused(self) -> bool:
        """Whether trials that share a device train together."""
        shares = self.gpu == "auto" or 0 < self.gpu < 1 or (self.gpu == 0 and self.num_cpus < 1)
        return self.fuse == "auto" and shares

    @property
    def trials_per_gpu(self) -> int:
        """How many trials share a graphics card: 1 if each takes one or more, 0 if none is used."""
        assert self.gpu != "auto", "settled by a measurement first"
        return max(int(1 / self.gpu + 1e-6), 1) if self.gpu else 0  # 1 / share may be slightly below a whole number

    @property
    def num_cpus(self) -> float:
        """Cores that a trial takes."""
        return self.cpu or (0.05 if self.gpu == "auto" or 0 < self.gpu < 1 else 1)

    def count_on_machine(self, has: Mapping[str, float]) -> int:
        """Count the trials that one machine can run at once. has: its resources, as Ray names them."""
        assert self.gpu != "auto"
        by_kind = [int(has.get("CPU", 0) / self.num_cpus + 1e-6)]
        if self.gpu >= 1:
            by_kind.append(int(has.get("GPU", 0) / self.gpu))
        elif self.gpu:  # a card's share is of one card
            by_kind.append(int(has.get("GPU", 0)) * self.trials_per_gpu)
        return min(by_kind)


def check_seeds(field: str, seeds: tuple[int, ...]) -> None:
    """Refuse an empty list of seeds, negative seeds, and seeds given twice."""
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise ValueError(f"{field}: give at least one whole number from 0, each once, such as [0, 1, 2]")
