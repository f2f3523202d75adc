"""The claims of the report at a glance: primary endpoints first, then what is exploratory."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from analysis.claims import MIN_SEEDS, Verdict, claims_frame, claims_table
from analysis.files import write_atomically
from analysis.report.blocks import Block, Claims, Folded, Heading
from analysis.report.conflicts import ANCHOR
from analysis.tables import Tables
from analysis.tables.significance import OUTCOMES
from analysis.wording import plural

PROTOCOL = (
    "Each claim has one primary endpoint, named in `studies/claims.yaml`; everything else is exploratory. "
    "Verdicts count all seeds, among them those that had been seen when the endpoints were named, which confirm "
    "nothing; the file says which they are. A part of a "
    "claim *holds* if its 95% interval lies wholly on the side of the threshold that is claimed, and *does not* if it "
    "lies wholly on the other side: so are parts counted. One part against a claim is enough, so for a verdict, an "
    "exploratory one, too, its p counts as often as there are parts: a part *surely* does not hold if its p, times "
    "their number, is 5% at most. **Supported:** every part holds. **Refuted:** some part surely does not and none "
    "holds, or a premise of the claim surely does not hold. **Mixed:** some part holds, another surely does not. "
    "**Undecided:** anything else, too few seeds among it. A premise that holds is not counted among the parts that "
    "do, as it says nothing for the claim. The verdicts on primary endpoints are corrected by Holm's method for how "
    "many of these the protocol has, run or not: where there is nothing to find, any of them is decided in 5% of such "
    "pages at most. What is corrected is whether a claim is decided; a part that holds by its own interval makes "
    "mixed what would else be refuted. Exploratory verdicts are corrected for their parts alone: of many, some are "
    "due to chance. Intervals are of one part each, and not corrected: Student's t of one set of models, the exact "
    "binomial of a share of trials; where two sets are compared, Welch's, of independent samples, or Student's t of "
    "pairs where both numbers are of one training (`paired` in claims.csv). Figures pair two trainings by their seed, "
    "so that one difference may have another interval there."
)


def show_claims(
    verdicts: Sequence[Verdict], folder: Path, *, datasets: Mapping[str, str], marked: Sequence[str]
) -> list[Block]:
    """The section on claims; writes claims.csv, with every part, to `folder`.

    datasets: of each study. marked: studies whose trials have other results in another study.
    """
    write_atomically(folder / "claims.csv", lambda part: claims_frame(verdicts).to_csv(part, index=False))
    judged = [verdict for verdict in verdicts if not verdict.is_of_missing_study]
    primary, exploratory = ([one for one in judged if one.role == role] for role in ("primary", "exploratory"))
    absent = dict.fromkeys(f"`{verdict.study}`" for verdict in verdicts if verdict.is_of_missing_study)
    dagger = f"† trials of this study have other results in another study: see [below](#{ANCHOR})."
    tables = [
        "### Primary endpoints",
        claims_table(primary, marked) if primary else "None.",
        "### Exploratory",
        claims_table(exploratory, marked) if exploratory else "None.",
        dagger if any(verdict.study in marked for verdict in judged) else "",
    ]
    num_absent = sum(verdict.is_of_missing_study and verdict.role == "primary" for verdict in verdicts)
    not_run = f", and {num_absent} not run" if num_absent else ""
    return [
        Heading(2, "The report's claims at a glance"),
        f"Primary endpoints: {_count(primary)}{not_run}; before Holm's correction {_count(primary, corrected=False)}. "
        f"Exploratory: {_count(exploratory)}. Every part is in [claims.csv](claims.csv).",
        Folded(
            "How verdicts are reached",
            [
                PROTOCOL,
                f"Fewer than {MIN_SEEDS} seeds decide nothing. Shown of each verdict is the part on which it hangs: "
                "the least sure of a claim that is supported, the surest against one that is refuted, one of either "
                "sort of a mixed one.",
            ],
        ),
        Claims(verdicts, dict(datasets), "\n\n".join(part for part in tables if part)),
        f"**Missing:** nothing is said of {', '.join(absent)}: not run." if absent else "",
    ]


def _count(verdicts: Sequence[Verdict], *, corrected: bool = True) -> str:
    """How many of them have each outcome, such as "of 3 verdicts 1 supported, 0 refuted, 0 mixed, 2 undecided"."""
    counts = Counter[str](one.outcome if corrected else one.before_correction for one in verdicts)
    said = ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES)
    return f"{plural(len(verdicts), 'verdict')}: {said}" if corrected else said


def describe_untested(tables: Iterable[Tables]) -> str:
    """What the report shows or asks for and no study here is of."""
    trials = [one.trials for one in tables]
    there = {dataset.partition("-")[0] for rows in trials for dataset in rows["dataset"]}
    networks = {network for rows in trials if "network" in rows for network in rows["network"]}
    untested = []
    if "celeba" not in there:
        untested.append(
            "of CelebA, of which the report's Figures 5c and 7 are (curves of convergence on other images are not its "
            "Figure 7)"
        )
    if "conv" not in networks:
        untested.append("of convolutional networks")
    if "dsprites" not in there:
        untested.append("of dSprites, and so of disentanglement")
    return f"**Not tested:** nothing here is {', '.join(untested)}." if untested else ""
