"""What a claim is measured by: one number per seed for each of its parts."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from analysis.tables import Tables

MIN_SEEDS = 3  # fewer give no verdict

UNITS = {
    "test/elbo": "nats per image",
    "test/elbo_relaxed": "nats per image",
    "test/reconstruction_error": "of relative squared error",
    "code/nonzero_fraction": "of the latents",
    "edit/class_kept": "of the images",
    "edit/class_kept_other": "of the images",
    "edit/changed_pixels": "of the inked pixels",
    "edit/changed_pixels_other": "of the inked pixels",
}


class UndecidableError(Exception):
    """The tables cannot decide a claim; the message is the reason."""


class Frozen(BaseModel):
    """A part of claims.yaml that knows its fields and does not change."""

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


class Quantity(Frozen, ABC):
    """A computation on the tables of one study. Its fields are its parameters in claims.yaml."""

    @abstractmethod
    def measure(self, tables: Tables) -> list[Sample]:
        """One sample for each part of the claim.

        tables: of the study's search phase alone.

        Raises:
            UndecidableError: no part can be measured; says why.
        """


def unit_of(metric: str) -> str:
    """The unit as it stands behind a number, or nothing."""
    return UNITS.get(metric, "")
