"""What README and docs say of the claims, as the published tables have them: `python -m docs.claims`.

README has five findings in words, the first of them in its first screen; the page in docs has all that can be said, and
every claim.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from analysis.claims import Part, Verdict, judge_claims, load_claims
from analysis.claims.curves import name_at, name_model
from analysis.claims.summary import count_parts, format_outcome, format_part
from analysis.figures import losses_beside_reported
from analysis.tables import Tables, load_tables
from analysis.tables.configurations import number_configurations
from analysis.tables.conflicts import find_conflicts, leading_results
from analysis.tables.reported_numbers import compute_deviations
from analysis.tables.significance import OUTCOMES
from analysis.wording import decimal, markdown_table, plural, span, with_interval
from docs.compared import (
    ACCURACY,
    GATES_STUDY,
    SPARSE,
    compare,
    compare_gates,
    format_estimate,
    gates_of,
    read_last_loss,
    read_values,
)
from harness.datasets import identify_dataset
from harness.ledger.provenance import is_current
from harness.search.make_source import make_source
from harness.study.file import load_study

FOLDER = Path(__file__).parent.parent
README = FOLDER / "README.md"
FINDINGS = FOLDER / "docs" / "findings.md"
START, END = "<!-- claims: python -m docs.claims -->\n", "<!-- end of claims -->\n"
SECTION = re.compile(f"{re.escape(START)}(.*?){re.escape(END)}", re.DOTALL)
OF_FASHION = "-fashion"
ERRATIC_ALPHA = 0.01
"""With which seeds end far apart."""
ASKED_SEEDS = 10
"""Of each part of a primary endpoint."""
SEEN_SEEDS, SEEN_OF = range(3), {"gamma-links": range(8), "reproduction-cost": range(100, 103)}
"""Seeds that had been published when the primary endpoints were named (commit 14dac28), and those of some studies."""
GATES, STRAIGHT = "relaxed-gates-cost-the-bound", "straight_through"
VAE = name_model("vae", math.nan)


def load_published() -> dict[str, Tables]:
    """The published tables, by study."""
    folders = sorted((FOLDER / "studies" / "published").glob("*/trials.parquet"))
    return {path.parent.name: load_tables(path.parent) for path in folders}


def judge_published(tables: Mapping[str, Tables]) -> list[Verdict]:
    """The claims, as these tables have them."""
    return judge_claims(load_claims(FOLDER / "studies" / "claims.yaml"), tables)


def judge_unseen(tables: Mapping[str, Tables]) -> list[Verdict]:
    """The claims, by the seeds alone that nobody had seen when their endpoints were named."""
    unseen = {}
    for study, published in tables.items():
        trials = published.trials[~published.trials["seed"].isin(SEEN_OF.get(study, SEEN_SEEDS))]
        history = published.history[published.history["trial_id"].isin(trials["trial_id"])]
        if not trials.empty:
            unseen[study] = replace(published, trials=trials, history=history)
    return judge_published(unseen)


def make_section(verdicts: Sequence[Verdict], tables: Mapping[str, Tables]) -> str:
    """What docs/findings.md says of the claims."""
    return f"{make_summary(verdicts, tables)}\n\n## Every claim, every way to measure it\n\n{make_table(verdicts)}"


def make_overview(tables: Mapping[str, Tables]) -> str:
    """What is published: a row for each study, how much of what its file asks for, and by which code."""
    rows = []
    for name, published in tables.items():
        place = FOLDER / "studies" / "published" / name
        study = load_study(FOLDER / "studies" / f"{name}.yaml")
        asked = make_source(study, identify_dataset(study.dataset), place, read_only=True).num_trials
        trials = published.trials
        seeds = trials.groupby(number_configurations(trials))["seed"].nunique()
        code = "today's" if is_current(place) else "older"
        rows.append([f"`{name}`", study.dataset, f"{len(trials)}", f"{asked}", span(seeds.min(), seeds.max()), code])
    return markdown_table(["study", "images", "trials", "its file asks for", "seeds of each", "code"], rows)


def make_first_finding(verdicts: Sequence[Verdict], tables: Mapping[str, Tables]) -> str:
    """What README's first screen tells: the primary endpoint first, then what gains as much, and where nothing does."""
    with_link, bound, tells, informative, _ = _compare_gates(verdicts)
    straight = _format_gain(tables, STRAIGHT, "relaxed")
    lost = _format_gain(tables, "relaxed", "disarm", alpha=0.2)
    return (
        "**With alpha 0.01, how the gates are trained decides much of the bound.** On MNIST, with 200 latent "
        f"dimensions and the report's link, DisARM's gates gain {with_link} over relaxed ones; the primary endpoint, "
        f"{_tell_primary(verdicts)}. With a sigmoid they gain {bound}, {_gain_over_ramp(tables)} where the relaxed "
        f"gates' sharpness rises to 200; {informative} more latents carry information, and the gates tell {tells} more "
        f"of the image. Straight-through gates gain {straight}; with alpha 0.2 DisARM's lose {lost}."
    )


def make_findings(verdicts: Sequence[Verdict], tables: Mapping[str, Tables]) -> str:
    """The other findings of README: words before numbers, of single parts, whose intervals are not corrected."""
    gap, lead = partial(_gap, verdicts), partial(_lead, verdicts)
    collapsed = _effect(verdicts, "small-alpha-collapses", _vsc(0.01, 200))
    diverged = _effect(verdicts, "unguarded-gamma-diverges", f"{_vsc(0.2, 24)}, the report's link, no clamp: diverged")
    name = f"{_vsc(0.2, 24)}, the report's link, KL from logits: finite"
    finite = _effect(verdicts, "kl-from-logits-needs-no-clamp", name)
    lines = [
        f"**A VAE models the images better.** Its true bound exceeds that of a VSC with alpha 0.5 by {gap(0.5, 24)} "
        f"at 24 latent dimensions and by {gap(0.5, 200)} at 200.",
        "**Whether a VSC classifies better depends on the classifier.** With alpha 0.01 and 200 latent dimensions its "
        f"means lead by {lead('')} under the report's own (5,000 labels), and by {lead('-mlp')} under a multilayer "
        f"perceptron (all labels). Means of latents that are never on suffice: {_tell_unused(tables)}.",
        f"**With a small alpha, sparsity is collapse.** In {collapsed} with alpha 0.01 and 200 latent dimensions, "
        "fewer than 10 latents carry information.",
        f"**The report's loss needs its guard, ours does not.** With its link and no clamp, {diverged} diverge; with "
        f"the KL from logits, {finite} stay finite.",
    ]
    return "\n".join(f"- {line}" for line in lines)


def make_summary(verdicts: Sequence[Verdict], tables: Mapping[str, Tables]) -> str:
    """The main findings, a line each. Differences are of what is named first less what is named second."""
    lines = [
        _count_outcomes(verdicts),
        _tell_unseen(verdicts, judge_unseen(tables)),
        _compare_with_reported(tables),
        _tell_bounds(verdicts),
        _tell_probes(verdicts, tables),
        _tell_sparsity(verdicts),
        _tell_gates(verdicts, tables),
        _tell_training(verdicts),
        _tell_guards(verdicts),
        _tell_conflicts(tables),
    ]
    return "\n".join(f"- {line}" for line in lines)


def _vae(latent_dim: int) -> str:
    return name_at(VAE, latent_dim)


def _vsc(alpha: float, latent_dim: int) -> str:
    return name_at(name_model("vsc", alpha), latent_dim)


def _find_part(verdicts: Sequence[Verdict], claim: str, name: str) -> Part:
    """A part of a claim on MNIST."""
    of_claim = [v for v in verdicts if v.claim.id == claim and OF_FASHION not in v.study]
    (part,) = (own for verdict in of_claim for own in verdict.parts if own.name == name)
    return part


def _effect(verdicts: Sequence[Verdict], claim: str, name: str) -> str:
    part = _find_part(verdicts, claim, name)
    is_alike = part.num_seeds > 1 and math.isnan(part.low)
    return f"{format_part(part)}{f' (with each of {part.num_seeds} seeds: no interval)' if is_alike else ''}"


def _gap(verdicts: Sequence[Verdict], alpha: float, latent_dim: int) -> str:
    """The VAE's true bound less the VSC's."""
    name = name_at(f"{VAE} less {name_model('vsc', alpha)},", latent_dim)
    return _effect(verdicts, "vae-has-the-better-true-bound", name)


def _lead(verdicts: Sequence[Verdict], variant: str) -> str:
    """By how much sparse codes of 200 latents classify better than the VAE's. variant: of the claim."""
    name = name_at(f"{name_model('vsc', 0.01)}, less {VAE},", 200)
    return _effect(verdicts, f"vsc-accuracy-beats-vae{variant}", name)


def _count_outcomes(verdicts: Sequence[Verdict]) -> str:
    primary = [verdict for verdict in verdicts if verdict.role == "primary"]
    after, before = (
        ", ".join(
            f"{num} {outcome}"
            for outcome in OUTCOMES
            if (num := sum(outcome == (v.outcome if corrected else v.before_correction) for v in primary))
        )
        for corrected in (True, False)
    )
    fewest = Counter(min((part.num_seeds for part in v.judged_parts), default=0) for v in primary)
    num_whole = sum(num for seeds, num in fewest.items() if seeds >= ASKED_SEEDS)
    others = ", ".join(
        f"{num} on {seeds or 'none'}" for seeds, num in sorted(fewest.items(), reverse=True) if seeds < ASKED_SEEDS
    )
    return (
        f"Of {plural(len(primary), 'primary endpoint')}, one for each claim and dataset, {after}; before Holm's "
        f"correction for their number {before}. {num_whole} of them rest on {ASKED_SEEDS} seeds or more"
        f"{f'; of the others {others}' if others else ''}. What follows is of single parts, with 95% intervals "
        "that are not corrected."
    )


def _tell_unseen(verdicts: Sequence[Verdict], unseen: Sequence[Verdict]) -> str:
    """How many verdicts the seeds alone reach that had not been seen."""
    by_these = {(verdict.claim.id, verdict.study): verdict.outcome for verdict in unseen}
    decided = [v for v in verdicts if v.role == "primary" and v.outcome != "undecided"]
    again = Counter(v.outcome for v in decided if by_these.get((v.claim.id, v.study)) == v.outcome)
    return (
        "The endpoints were named when seeds 0 to 2 had been published (of `gamma-links` 0 to 7, of "
        f"`reproduction-cost` 100 to 102). By the other seeds alone, seven of most studies, {again.total()} of these "
        f"{len(decided)} verdicts are reached again "
        f"({', '.join(f'{num} {outcome}' for outcome, num in again.items())}), the rest are undecided."
    )


def _compare_with_reported(tables: Mapping[str, Tables]) -> str:
    told = []
    for study, dataset in (("elbo-vs-latent-dim", "MNIST"), ("elbo-vs-latent-dim-fashion", "Fashion-MNIST")):
        deviations = compute_deviations(tables[study].trials, tables[study].history)
        size, own = deviations["percent"].abs(), deviations["seed"] == 1
        at_named = size[own & deviations["latent_dim"].isin([24, 200])]
        of_models = deviations.groupby(["model", "alpha", "latent_dim"], dropna=False)["percent"]
        seeds, means = of_models.count(), of_models.mean().abs()
        steady = means[means.index.get_level_values("alpha") != ERRATIC_ALPHA]
        told.append(
            f"on {dataset}, with the report's seed, by at most {decimal(at_named.max(), 2)}% at 24 and 200 latent "
            f"dimensions and by {decimal(size[own].max(), 2)}% at all; with {span(seeds.min(), seeds.max())} seeds, "
            f"{(size > 1).sum()} of {plural(len(size), 'model')} by more than 1%, by {decimal(size.max(), 2)}% at "
            f"most; the mean over seeds by at most {decimal(means.max(), 2)}%, and {decimal(steady.max(), 2)}% without "
            f"alpha {ERRATIC_ALPHA}"
        )
    vae, vsc = (find_largest_deviation(tables["reference-check"], model) for model in ("vae", "vsc"))
    return (
        f"After 11 epochs the test loss differs from the report's own {'; '.join(told)}. On MNIST and on the report's "
        f"own random numbers (`reference-check`), after each of the first three epochs, by at most {decimal(vae, 2)}% "
        f"for the VAE and {decimal(vsc, 2)}% for the VSC, with alpha 0.2 and 0.5, whose training is chaotic: "
        "rounding alone leads it elsewhere."
    )


def find_largest_deviation(tables: Tables, model: str) -> float:
    """Of the test losses of a study from the report's own, epoch by epoch: percent."""
    frame = losses_beside_reported.compute(tables)
    return float(frame.loc[(frame["model"] == model) & (frame["split"] == "test"), "mean"].abs().max())


def _tell_bounds(verdicts: Sequence[Verdict]) -> str:
    gap = partial(_gap, verdicts)
    return (
        f"Of the true bound, VAE less VSC is {gap(0.5, 24)} at 24 latent dimensions and {gap(0.5, 200)} at 200 "
        f"with alpha 0.5, {gap(0.01, 24)} and {gap(0.01, 200)} with alpha 0.01: the VAE's is better."
    )


def _tell_probes(verdicts: Sequence[Verdict], tables: Mapping[str, Tables]) -> str:
    lead = partial(_lead, verdicts)
    grown = _effect(verdicts, "vsc-accuracy-beats-vae-linear", f"{VAE}: 200 over 24")
    same_labels = compare(tables[ACCURACY], "probe/mlp_mu_5k_accuracy", SPARSE, {"model": "vae"}, scale=100)
    return (
        "Whether a VSC classifies better depends on the classifier. At 200 latent dimensions and alpha 0.01, VSC less "
        f"VAE is {lead('')} under the report's classifier as coded and {lead('-as-written')} as written, both on the "
        f"means, with 5,000 labels; under a multilayer perceptron it is {format_estimate(same_labels)} points with as "
        f"many and {lead('-mlp')} with all. The means are not sparse: under the report's classifier those of latents "
        f"that are never on, which the decoder never sees, suffice for {_tell_unused(tables)}. Of gamma * mu VSC less "
        f"VAE is {lead('-mlp-gamma-mu')} under the perceptron with all labels; of samples, which are sparse, "
        f"{lead('-mlp-z')} under that and {lead('-knn-z')} under nearest neighbours, whom the VAE's idle latents "
        f"mislead. That the VAE's accuracy is past its best there is not so under logistic regression: it gains "
        f"{grown} from 24 to 200."
    )


def _tell_unused(tables: Mapping[str, Tables]) -> str:
    """How accurate the report's classifier is on what the decoder never sees, and on all means: with 5,000 labels."""
    unused, all_means = (
        read_values(tables[ACCURACY], f"probe/report_coded_{codes}_5k_accuracy", SPARSE) for codes in ("mu_off", "mu")
    )
    return f"{decimal(unused.mean() * 100, 1)} of {decimal(all_means.mean() * 100, 1)}% accuracy"


def _tell_sparsity(verdicts: Sequence[Verdict]) -> str:
    def fraction(latent_dim: int) -> str:
        return _effect(verdicts, "few-latents-are-non-zero", _vsc(0.01, latent_dim))

    collapsed = [_effect(verdicts, "small-alpha-collapses", _vsc(0.01, dim)) for dim in (24, 200)]
    always_on = _effect(verdicts, "codes-are-sparse", _vsc(0.01, 200))
    slope = _find_part(verdicts, "non-zero-fraction-follows-alpha", _vsc(math.nan, 200))
    return (
        f"With alpha 0.01, {fraction(8)} are not zero at 8 latent dimensions, {fraction(200)} at 200. That is collapse "
        f"rather than sparsity: fewer than 10 latents carry information in {collapsed[0]} at 24 and {collapsed[1]} at "
        f"200. At 200, {always_on} are always on, and with alpha 0.5 none with any seed: so the primary endpoint on "
        "whether sparsity follows alpha could be refuted there, not supported. The share of latents that are not "
        f"zero does follow it: its logarithm by {with_interval(slope.mean, slope.low, slope.high)} times that of alpha."
    )


def _tell_primary(verdicts: Sequence[Verdict]) -> str:
    """What DisARM's gain was to be, and what was found of that."""
    (verdict,) = (verdict for verdict in verdicts if verdict.claim.id == GATES)
    return f"at least {verdict.claim.threshold:g}, is {format_outcome(verdict)}"


def _compare_gates(verdicts: Sequence[Verdict]) -> list[str]:
    """DisARM's gain in the bound; with a sigmoid that, in the gates' information, in informative latents; always on."""
    claims = (
        GATES,
        "relaxed-gates-cost-the-bound-sigmoid",
        "unbiased-gates-tell-more",
        "more-latents-are-informative",
        "informative-latents-are-off-at-times",
    )
    return [_effect(verdicts, claim, _vsc(0.01, 200)) for claim in claims]


def _gain_over_ramp(tables: Mapping[str, Tables]) -> str:
    """DisARM's gain over relaxed gates whose sharpness rises to 200 over the run."""
    ramp = gates_of("relaxed", schedule="ramp")
    return format_estimate(compare(tables[GATES_STUDY], "test/elbo", gates_of("disarm"), ramp))


def _format_gain(tables: Mapping[str, Tables], first: str, second: str, **others: Any) -> str:
    return format_estimate(compare_gates(tables, first, second, **others))


def _tell_gates(verdicts: Sequence[Verdict], tables: Mapping[str, Tables]) -> str:
    with_link, bound, tells, informative, always_on = _compare_gates(verdicts)
    cost = _gap(verdicts, 0.01, 200)
    straight, beside = (_format_gain(tables, *two) for two in ((STRAIGHT, "relaxed"), ("disarm", STRAIGHT)))
    at_larger = [_format_gain(tables, "disarm", "relaxed", alpha=0.2, link=link) for link in ("sigmoid", "exp_relu")]

    def reach(estimator: str, **others: Any) -> str:
        values = read_values(tables[GATES_STUDY], "test/elbo", gates_of(estimator, **others))
        return decimal(float(values.mean()), 1)

    relaxed, disarm = (read_last_loss(tables[GATES_STUDY], gates_of(gates)) for gates in ("relaxed", "disarm"))
    return (
        "How the gates are trained decides much of that (`gate-gradients`). With alpha 0.01, 200 latent dimensions and "
        f"the report's link, DisARM's gates gain {with_link} of the true bound over relaxed ones "
        f"({reach('disarm', link='exp_relu')} against {reach('relaxed', link='exp_relu')}), of {cost} by which the "
        f"VAE's is better; the primary endpoint, {_tell_primary(verdicts)}. With a sigmoid they gain {bound} "
        f"({reach('disarm')} against {reach('relaxed')}, so that relaxed gates are worse than with the link), and "
        f"{_gain_over_ramp(tables)} where the relaxed gates' sharpness rises to 200 over the run "
        f"({reach('relaxed', schedule='ramp')}); they tell {tells} more of the image, {informative} more latents carry "
        f"information, and {always_on} are always on. The gradient alone does not explain it: straight-through "
        f"gates, whose samples are hard and whose gradient is that of relaxed ones, with a bias of "
        f"{_measure_bias(tables)} of its length, gain as much, {straight} (DisARM less these: {beside}). Relaxed gates "
        f"reach a loss of {decimal(relaxed, 1)} on test images as they are trained, DisARM's {decimal(disarm, 1)}: "
        f"most is lost where they are made hard. With alpha 0.2 there is no gain: DisARM less relaxed is "
        f"{at_larger[0]} with the sigmoid and {at_larger[1]} with the report's link."
    )


def _measure_bias(tables: Mapping[str, Tables]) -> str:
    """That of straight-through gates, of the models that they trained with alpha 0.01, a sigmoid and 200 latents."""
    values = read_values(tables[GATES_STUDY], f"gradient/{STRAIGHT}_bias", gates_of(STRAIGHT))
    return decimal(float(values.mean()), 2)


def _tell_training(verdicts: Sequence[Verdict]) -> str:
    def gain(part: str) -> str:
        return _effect(verdicts, "twenty-thousand-iterations-are-too-few", part)

    tested, trained = (_effect(verdicts, f"{which}-still-falls", _vsc(0.01, 200)) for which in ("loss", "trained-loss"))
    return (
        f"From 11 epochs to 100, the true bound gains {gain(_vae(200))} for the VAE, {gain(_vsc(0.5, 200))} for the "
        f"VSC with alpha 0.5 and {gain(_vsc(0.01, 200))} with alpha 0.01, at 200 latent dimensions. The loss that is "
        f"trained, of relaxed samples and no bound, falls, to its lowest level after epoch 11, by {trained} with alpha "
        f"0.01, and by {tested} on test images."
    )


def _tell_guards(verdicts: Sequence[Verdict]) -> str:
    sigmoid, link = (
        _effect(verdicts, "unguarded-gamma-diverges", f"{_vsc(0.2, 24)}, {end}")
        for end in ("sigmoid, no clamp: finite", "the report's link, no clamp: diverged")
    )
    by_logits = [
        _effect(verdicts, "kl-from-logits-needs-no-clamp", f"{_vsc(0.2, 24)}, {link}, KL from logits: finite")
        for link in ("the report's link", "sigmoid")
    ]
    return (
        f"Without a clamp, {sigmoid} stay finite with a sigmoid, and {link} diverge with the report's link: log(1 - "
        f"gamma) is computed from a rounded gamma there. With the KL from logits, a guard of ours, "
        f"{by_logits[0]} stay finite with that link and {by_logits[1]} with a sigmoid: no clamp is needed."
    )


def _tell_conflicts(tables: Mapping[str, Tables]) -> str:
    shown = leading_results(find_conflicts(tables))
    if shown.empty:
        return "No trial has several results: one that several studies share has the same in each."
    values = shown.groupby("trial_id")["value"]
    widest = float((values.max() - values.min()).max())
    return (
        f"{plural(shown['trial_id'].nunique(), 'trial')} have several results, in studies that were trained apart, and "
        f"their true bounds differ by up to {decimal(widest, 2)} nats per image: `studies/published/report/report.md` "
        "lists them. Every number is of its study's own results."
    )


def make_table(verdicts: Sequence[Verdict]) -> str:
    """A row for each claim and way to measure it, a column for each dataset: the verdict, and the part it hangs on."""
    rows: dict[str, list[str]] = {}
    said = ""
    for verdict in verdicts:
        claim = verdict.claim
        if claim.id not in rows:
            named = f"**{claim.claim}** {claim.variant}".strip() if claim.claim != said else claim.variant
            rows[claim.id], said = [named, "", ""], claim.claim
        rows[claim.id][2 if OF_FASHION in verdict.study else 1] = _say(verdict)
    head = ["claim, and how it is measured", "MNIST", "Fashion-MNIST"]
    return markdown_table(head, list(rows.values()))


def _say(verdict: Verdict) -> str:
    if verdict.is_of_missing_study:
        return "not run"
    assert not verdict.study.endswith("-quick")  # of digits
    shown = verdict.shown
    if not shown:
        return f"{format_outcome(verdict)}: {verdict.reason}"
    told = "; ".join(f"{format_part(part)}, {part.name}" for part in shown)
    return f"{format_outcome(verdict)}: {told}{count_parts(verdict)}"


def replace_sections(text: str, sections: Sequence[str]) -> str:
    """A page with the sections that it has to have between its marks, in their order."""
    left = iter(sections)
    return SECTION.sub(lambda _: f"{START}\n{next(left)}\n\n{END}", text)


def make_pages(verdicts: Sequence[Verdict], tables: Mapping[str, Tables]) -> dict[Path, list[str]]:
    """What stands between the marks of each page."""
    return {
        README: [make_first_finding(verdicts, tables), make_findings(verdicts, tables)],
        FINDINGS: [make_section(verdicts, tables), make_overview(tables)],
    }


if __name__ == "__main__":
    published = load_published()
    for page, contents in make_pages(judge_published(published), published).items():
        page.write_text(replace_sections(page.read_text(), contents))
