"""What a claim is measured by: one number per seed for each of its parts."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from analysis.tables import Tables

MIN_SEEDS = 3  # fewer give no verdict

SHARES = ("code/nonzero_fraction", "edit/class_kept", "edit/changed_pixels")  # from 0 to 1


class UndecidableError(Exception):
    """The tables cannot decide a claim; the message is the reason."""


class Frozen(BaseModel):
    """A part of claims.yaml, with fields that are checked and do not change."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Sample:
    """One part of a claim as it was measured."""

    part: str
    unit: str
    by_seed: NDArray[Any]  # (S,) NaN where there is no number
    lacks: str = ""  # what is missing for a verdict, if anything is
    note: str = ""
    is_share: bool = False  # numbers are 0 or 1 and their mean is a proportion
    limits: tuple[float, float] = (-np.inf, np.inf)  # that no value can lie beyond, nor any interval


class Quantity(Frozen, ABC):
    """A computation on the tables of one study. Its fields are its parameters in claims.yaml."""

    @abstractmethod
    def measure(self, tables: Tables) -> list[Sample]:
        """One sample for each part of the claim.

        tables: of the study's search phase alone.

        Raises:
            UndecidableError: no part can be measured; says why.
        """


def limits_of(metric: str) -> tuple[float, float]:
    """The numbers between which a metric lies."""
    return (0.0, 1.0) if metric in SHARES else (-np.inf, np.inf)
