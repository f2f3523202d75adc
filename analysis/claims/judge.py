"""From the samples of claims to their verdicts, by the protocol of studies/claims.yaml."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from analysis.claims.claim import Claim
from analysis.claims.quantity import Criterion, Sample, UndecidableError
from analysis.claims.verdict import Part, Role, Verdict, describe_not_run
from analysis.errors import describe_error
from analysis.tables import Tables, of_search
from analysis.tables.significance import (
    LEVEL,
    MIN_SEEDS,
    OUTCOMES,
    Estimate,
    Outcome,
    combine_parts,
    correct_by_holm,
    decide,
    estimate_difference,
    estimate_mean,
    estimate_share,
)
from analysis.wording import ALPHA, plural, with_minus

QUICK = "-quick"
MISMEASURED = "an error in measuring it"


def judge_claims(claims: Sequence[Claim], tables: Mapping[str, Tables]) -> list[Verdict]:
    """A verdict for each claim and each study that tests it, in the order of the claims.

    Holm's method corrects for all primary endpoints of `claims`, whether their studies have been run or not: how many
    there are was fixed before any was.

    tables: by name of the study. For a study that is not among them, its quick form is judged, by that name; what it
    finds is exploratory.
    """
    searched = {name: of_search(one) for name, one in tables.items()}
    measured = [_measure(claim, study, searched) for claim in claims for study in claim.study]
    p = [_p_of(one.judged_parts) for one in measured]
    family = [i for i, one in enumerate(measured) if one.claim.primary is not None]
    corrected, levels = list(p), [LEVEL] * len(p)
    if family:
        is_primary = [measured[i].role == "primary" for i in family]
        holm = correct_by_holm([p[i] if own else 1.0 for i, own in zip(family, is_primary, strict=True)])
        for i, own, of_family, level in zip(family, is_primary, *holm, strict=True):
            if own:
                corrected[i], levels[i] = float(of_family), float(level)
    return [_judge(*one, num_primaries=len(family)) for one in zip(measured, p, corrected, levels, strict=True)]


def estimate_part(sample: Sample, criterion: Criterion, *, paired: bool) -> Estimate:
    """The effect of a part, and how surely it is what it has to be.

    The values of the sample may have further dimensions in front, for as many studies.
    """
    test, threshold = criterion
    if sample.is_share:
        assert test != "equivalent"
        return estimate_share(sample.values, test, threshold)
    if sample.minus is None:
        return estimate_mean(sample.values, test, threshold)
    if paired:
        return estimate_mean(sample.values - sample.minus, test, threshold)
    return estimate_difference(sample.values, sample.minus, test, threshold)


def _measure(claim: Claim, study: str, tables: Mapping[str, Tables]) -> Verdict:
    """A verdict with its parts, or the reason why there are none, that is not decided yet."""
    name = next((name for name in (study, study + QUICK) if name in tables), None)
    role: Role = "primary" if claim.primary is not None and name in (study, None) else "exploratory"
    verdict = Verdict(claim, name or study, role, "undecided", "undecided", p=1.0, p_corrected=1.0, parts=())
    if name is None:
        return replace(verdict, reason=describe_not_run(study))
    try:
        samples = claim.build_quantity().measure(tables[name])
    except UndecidableError as reason:
        return replace(verdict, reason=str(reason))
    except Exception as error:  # whatever it is, the other claims are judged
        return replace(verdict, reason=f"{MISMEASURED} ({describe_error(error)})")
    if role == "primary":
        samples += _find_lacking(claim, samples)
    return replace(verdict, parts=tuple(_describe_part(claim, sample, role) for sample in samples))


def _find_lacking(claim: Claim, samples: Sequence[Sample]) -> list[Sample]:
    """A part for each latent dimension of the primary endpoint at which nothing was measured, or not of each alpha."""
    there = {(sample.latent_dim, alpha) for sample in samples for alpha in (None, *sample.alphas)}
    is_of_several = (None, None) in there
    lacking: list[Sample] = []
    for dim in (None,) if is_of_several else claim.primary or ():
        where = f" at latent dimension {dim}" if dim else ""
        names = [f"{ALPHA} = {alpha:g}{where}" for alpha in claim.alphas if (dim, alpha) not in there]
        if (dim, None) not in there:
            names = [f"latent dimension {dim}"]
        lacking += [Sample(name, "", np.array([]), latent_dim=dim, lacks=f"{name} (not run)") for name in names]
    return lacking


def _describe_part(claim: Claim, sample: Sample, role: Role) -> Part:
    criterion = sample.criterion or Criterion(claim.test, claim.threshold)
    found = estimate_part(sample, criterion, paired=claim.paired)
    low, high = np.clip([float(found.low), float(found.high)], *sample.limits)
    p_for, p_against, num_seeds = float(found.p_for), float(found.p_against), int(found.num)
    reason = ""
    outcome: Outcome = "undecided"
    if sample.lacks:
        reason = f"missing: {sample.lacks}"
    elif num_seeds < MIN_SEEDS:
        reason = f"{plural(num_seeds, 'seed')} where {MIN_SEEDS} are needed"
    elif np.isnan(low):
        reason = "no spread between seeds: no interval"
    elif min(p_for, p_against) > LEVEL:
        reason = f"the interval {_describe_place(criterion)}"
    else:
        outcome = "supported" if p_for <= LEVEL else "refuted"
    if sample.lacks or num_seeds < MIN_SEEDS:
        p_for = p_against = 1.0
    is_primary = role == "primary" and _is_of_endpoint(claim, sample)
    return Part(
        sample.part, sample.unit, criterion, float(found.mean), float(low), float(high), num_seeds, p_for, p_against,
        "primary" if is_primary else "exploratory", sample.is_premise, outcome, reason, sample.note,
    )  # fmt: skip


def _is_of_endpoint(claim: Claim, sample: Sample) -> bool:
    """Whether a part is at the latent dimensions of the primary endpoint, and of its alphas or of models without."""
    others = [alpha for alpha in sample.alphas if claim.alphas and not np.isnan(alpha) and alpha not in claim.alphas]
    return sample.latent_dim in (None, *(claim.primary or ())) and not others


def _describe_place(criterion: Criterion) -> str:
    """Where an interval lies that decides nothing."""
    test, threshold = criterion
    if test == "equivalent":
        return f"is neither within nor outside \N{PLUS-MINUS SIGN}{threshold:g}"
    return f"spans {with_minus(f'{threshold:g}')}"


def _p_of(parts: Sequence[Part]) -> float:
    return float(combine_parts([part.p_for for part in parts], [part.p_against for part in parts])) if parts else 1.0


def _decide(parts: Sequence[Part], level: float) -> Outcome:
    if not parts:
        return "undecided"
    p_for, p_against = ([getattr(part, name) for part in parts] for name in ("p_for", "p_against"))
    return OUTCOMES[int(decide(p_for, p_against, [part.is_premise for part in parts], level))]


def _judge(measured: Verdict, p: float, corrected: float, level: float, *, num_primaries: int) -> Verdict:
    parts = measured.judged_parts
    before, outcome = _decide(parts, LEVEL), _decide(parts, level)
    verdict = replace(measured, outcome=outcome, before_correction=before, p=p, p_corrected=corrected)
    if outcome == "refuted":
        failed = [part.name for part in parts if part.is_premise and part.p_against * len(parts) <= level]
        return replace(verdict, reason=f"its premise fails: {failed[0]}") if failed else verdict
    if outcome != "undecided" or not parts:
        return verdict
    if before != "undecided":
        lost = f"{before} before Holm's correction for {num_primaries} primary endpoints, not behind it"
        return replace(verdict, reason=lost)
    first, *more = dict.fromkeys(filter(None, (_explain(part, len(parts)) for part in (*verdict.shown, *parts))))
    return replace(verdict, reason=f"{first} (and {plural(len(more), 'other reason')})" if more else first)


def _explain(part: Part, num_parts: int) -> str:
    """Why an undecided claim of so many parts hangs on this one, if it does."""
    unsure = f"by its own interval one part does not hold, but not surely enough among {num_parts}"
    return unsure if part.outcome == "refuted" else part.reason
