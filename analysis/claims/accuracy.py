"""Is the VSC's accuracy above the VAE's, and does it grow, where the VAE's no longer does?"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated

import numpy as np
from pydantic import Field

from analysis.claims.curves import Curve, compare_at, describe_missing, pick, pick_dims, union_of_dims
from analysis.claims.probe import ACCURACY_GAP, Probe
from analysis.claims.quantity import Criterion, Quantity, Sample, UndecidableError
from analysis.tables import Tables
from analysis.wording import POINTS

Ends = Annotated[tuple[Annotated[tuple[int, int], Field(strict=False)], ...], Field(strict=False, min_length=1)]
Alphas = Annotated[tuple[float, ...], Field(strict=False, min_length=1)]


class AccuracyPastBest(Quantity):
    """The VSC's accuracy less the VAE's (percentage points): a part for each latent dimension past the VAE's best.

    Its premise is a part, too: that there is such a best, since the VAE's accuracy grows by less than `margin` points
    from one latent dimension to another.

    alpha: of the VSC, the first of these that the study has. between: the two latent dimensions of the premise, the
    first pair that the study has; past the first of them the models are compared.
    """

    under: Probe
    alpha: Alphas
    between: Ends
    margin: float = Field(gt=0)

    def measure(self, tables: Tables) -> list[Sample]:
        """See the class."""
        vae, vsc = trace_both(tables, self.under, self.alpha)
        small, large = pick_dims([vae, vsc], self.between)
        past = sorted({*(dim for dim in vae.dims if dim > small), large})
        say_dead = partial(self.under.describe_dead, tables.trials)
        return [
            _measure_growth(vae.at([small, large]), Criterion("less", self.margin), say_dead, is_premise=True),
            *(_compare(vae.at([dim]), vsc.at([dim]), say_dead) for dim in past),
        ]


class AccuracyGrowth(Quantity):
    """Two parts, in percentage points: the VSC's accuracy grows as claimed, the VAE's by less than `margin`.

    alpha: of the VSC, the first of these that the study has. between: from which latent dimension to which, the first
    pair that the study has.
    """

    under: Probe
    alpha: Alphas
    between: Ends
    margin: float = Field(gt=0)

    def measure(self, tables: Tables) -> list[Sample]:
        """See the class."""
        vae, vsc = trace_both(tables, self.under, self.alpha)
        small, large = pick_dims([vae, vsc], self.between)
        say_dead = partial(self.under.describe_dead, tables.trials)
        return [
            _measure_growth(vsc.at([small, large]), None, say_dead),
            _measure_growth(vae.at([small, large]), Criterion("less", self.margin), say_dead),
        ]


def trace_both(tables: Tables, probe: Probe, alphas: Sequence[float]) -> tuple[Curve, Curve]:
    """The accuracy of the VAE and of the VSC with one of these alphas, at the latent dimensions of either.

    Raises:
        UndecidableError: the study lacks either, or the VAE has no accuracy.
    """
    curves = probe.trace_accuracy(tables.trials)
    vae, vsc = pick(curves, "vae")[0], pick(curves, "vsc", alphas)[0]
    if np.isnan(vae.values).all():
        raise UndecidableError(f"no VAE has a value of {probe.key}_accuracy")
    dims = union_of_dims([vae, vsc])
    return vae.at(dims), vsc.at(dims)


def _measure_growth(
    curve: Curve, criterion: Criterion | None, say_dead: Callable[[Curve], str], *, is_premise: bool = False
) -> Sample:
    small, large = curve.dims
    at_small, at_large = curve.values.T
    return Sample(
        f"{curve.name}: {large} over {small}",
        POINTS,
        at_large,
        at_small,
        large if is_premise else None,
        (curve.alpha,),
        lacks=describe_missing(curve),
        note=say_dead(curve),
        limits=ACCURACY_GAP,
        criterion=criterion,
        is_premise=is_premise,
    )


def _compare(vae: Curve, vsc: Curve, say_dead: Callable[[Curve, Curve], str]) -> Sample:
    (dim,) = vae.dims
    part = f"{vsc.name}, less {vae.name},"
    return compare_at(part, POINTS, vsc, vae, dim, note=say_dead(vae, vsc), limits=ACCURACY_GAP)
