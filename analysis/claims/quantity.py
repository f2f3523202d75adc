"""What a claim is measured by: one number per seed for each of its parts."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from analysis.metrics import ANYWHERE, Limits
from analysis.tables import Tables
from analysis.tables.significance import Test


class UndecidableError(Exception):
    """The tables cannot decide a claim; the message is the reason."""


class Frozen(BaseModel):
    """A part of claims.yaml, with fields that are checked and do not change."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Criterion(NamedTuple):
    """What a number has to be. threshold: in its unit; of "equivalent", how far from zero it may lie on either side."""

    test: Test
    threshold: float


@dataclass(frozen=True)
class Sample:
    """One part of a claim as it was measured: a mean over seeds, or of one sample less another.

    A part says by its `criterion` what it has to be where that is not the claim's own; it is a premise where the claim
    takes it for granted.
    """

    part: str
    unit: str
    values: NDArray[Any]  # (S,) by seed, NaN where there is no number
    minus: NDArray[Any] | None = None  # (S,) what is taken away, by seed
    latent_dim: int | None = None  # at which it was measured; None: at several
    alphas: tuple[float, ...] = ()  # of the models that it is of
    lacks: str = ""  # what is missing for a verdict, if anything is
    note: str = ""
    is_share: bool = False  # numbers are 0 or 1 and their mean is a proportion
    limits: Limits = ANYWHERE  # that no effect can lie beyond, nor any interval
    criterion: Criterion | None = None
    is_premise: bool = False


class Quantity(Frozen, ABC):
    """A computation on the tables of one study. Its fields are its parameters in claims.yaml."""

    is_share: ClassVar[bool] = False  # of the trials

    @abstractmethod
    def measure(self, tables: Tables) -> list[Sample]:
        """One sample for each part of the claim.

        tables: of the study's search phase alone.

        Raises:
            UndecidableError: no part can be measured; says why.
        """


def limits_of_difference(limits: Limits) -> Limits:
    """Between which numbers the difference of two lies that each lie between `limits`."""
    low, high = limits
    return low - high, high - low
