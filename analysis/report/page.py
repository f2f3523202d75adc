"""One page that shows what studies found: in Markdown beside its figures, and as one HTML file that holds them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd

from analysis.claims import MISMEASURED, Claim, Verdict, judge_claims
from analysis.drawing.figure import PICTURES, Drawn
from analysis.drawing.save import read_about
from analysis.figures.draw import FIGURES, draw_studies
from analysis.files import write_atomically
from analysis.report.blocks import Block, Folded, Heading, Picture, say_finding
from analysis.report.claims import describe_untested, show_claims
from analysis.report.conflicts import TITLE, describe_conflicts_of, tabulate_conflicts
from analysis.report.findings import pick_findings
from analysis.report.guard import Guard
from analysis.report.html import as_html
from analysis.report.markdown import as_markdown
from analysis.report.numbers import tabulate_numbers
from analysis.report.open_questions import answer_open_questions
from analysis.report.provenance import describe_cost, tabulate_provenance
from analysis.tables import Tables
from analysis.tables.configurations import longest_of_each
from analysis.tables.conflicts import find_conflicts, pairs_of_studies
from analysis.tables.reported_numbers import compute_deviations, describe_deviations
from analysis.wording import plural

BESIDE_REPORTED = {"relaxed_elbo_by_latent_dim", "losses_beside_reported"}
"""Figures that show the report's own training beside ours."""
MOST_FOUND = 2  # verdicts above a figure

Pictures = dict[tuple[str, str], Picture]  # by study and figure


@dataclass(frozen=True)
class StudyReport:
    """What the page says of one study besides its tables."""

    question: str
    command: str  # that trains it and draws its figures
    figures: Sequence[str] | None = None  # those that it asks for; None: all that can be drawn
    provenance: Sequence[Mapping[str, str]] = ()  # what trained it, oldest first
    problem: str = ""  # why its tables are missing, if they are


def write_report(
    tables: Mapping[str, Tables],
    studies: Mapping[str, StudyReport],
    folder: Path,
    *,
    claims: Sequence[Claim] = (),
    num_processes: int = 1,
    on_problem: Callable[[str], None] = lambda _: None,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> list[Path]:
    """Draw the figures of these studies and write report.md and report.html to `folder`; returns both paths.

    tables, studies: by name of the study; a study without tables is said to be missing. claims: each gets its verdict.
    num_processes: that draw at once. on_progress: called with the number of studies that are drawn, and of all;
    on_problem: called with a sentence for each part that went wrong, which stands on
    the page, too; all other parts are there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    guard = Guard(on_problem)
    there = {name: tables[name] for name in studies if name in tables}
    datasets = {name: ", ".join(sorted(one.trials["dataset"].unique())) for name, one in tables.items()}
    asked = {name: _list_figures(name, studies[name], claims) for name in there}
    with ThreadPoolExecutor(1) as thread:  # figures take the longest; all else is computed meanwhile
        drawing = thread.submit(
            draw_studies,
            there,
            folder / "figures",
            only=asked,
            num_processes=num_processes,
            on_progress=on_progress,
        )
        conflicts = find_conflicts(there)
        beside = pairs_of_studies(conflicts)
        verdicts, of_claims = _judge(claims, tables, folder, datasets, marked=list(beside), guard=guard)
        answers: list[Block] = [Heading(2, "What the report left open")]
        with guard.part("what the report left open", answers):
            answers.append(answer_open_questions(tables, guard))
        drawn = drawing.result()
    pictures, sections = _show_studies(studies, tables, drawn, verdicts, beside=beside, guard=guard)
    blocks: list[Block] = [Heading(1, "Studies of Variational Sparse Coding")]
    blocks += _open_page(verdicts, pictures, sections, datasets, guard)
    blocks += of_claims
    blocks += answers
    blocks.append(Heading(2, "Studies"))
    with guard.part("the cost of all studies", blocks):
        blocks.append(describe_cost(tables))
    blocks += [block for section in sections.values() for block in section]
    blocks += _close_page(conflicts, {name: study.provenance for name, study in studies.items()}, guard)
    paths = [folder / "report.md", folder / "report.html"]
    for path, render in zip(paths, (as_markdown, as_html), strict=True):
        write_atomically(path, partial(Path.write_text, data=render(blocks, folder), encoding="utf-8"))
    return paths


def _show_studies(
    studies: Mapping[str, StudyReport],
    tables: Mapping[str, Tables],
    drawn: Mapping[str, Sequence[Drawn]],
    verdicts: Sequence[Verdict],
    *,
    beside: Mapping[str, Mapping[str, float]],
    guard: Guard,
) -> tuple[Pictures, dict[str, list[Block]]]:
    """The section of each study, and the figures in them, each with what the verdicts find in it."""
    pictures: Pictures = {}
    sections: dict[str, list[Block]] = {}
    for name, study in studies.items():
        parts: list[Block] = [Heading(3, name, listed=True), study.question]
        sections[name] = parts
        if name in tables:
            parts += _show_study(name, study, tables[name], drawn=drawn[name], beside=beside, guard=guard)
        else:
            parts.append(f"**Missing:** {study.problem or 'its tables'}")
        for place, block in enumerate(parts):
            if isinstance(block, Picture):
                found = _verdicts_shown_by(verdicts, block)
                picture = replace(block, found=list(map(say_finding, found)))
                parts[place] = pictures[name, block.name] = picture
    return pictures, sections


def _close_page(
    conflicts: pd.DataFrame, records: Mapping[str, Sequence[Mapping[str, str]]], guard: Guard
) -> list[Block]:
    """Where studies have several results of one trial, and what produced them all."""
    blocks: list[Block] = []
    if not conflicts.empty:
        blocks.append(Heading(2, TITLE))
        with guard.part("trials with several results", blocks):
            blocks += tabulate_conflicts(conflicts, records)
    blocks.append(Heading(2, "What produced these results"))
    with guard.part("the record of what produced them", blocks):
        blocks.append(Folded("Code, study files, machines and packages", tabulate_provenance(records)))
    return blocks


def _list_figures(name: str, study: StudyReport, claims: Sequence[Claim]) -> list[str] | None:
    """The figures that a study asks for, and those that show the claims that it tests; None: all that can be drawn."""
    if study.figures is None:
        return None
    shown = [claim.figure for claim in claims if name in claim.study and claim.figure]
    return list(dict.fromkeys([*study.figures, *shown]))


def _judge(
    claims: Sequence[Claim],
    tables: Mapping[str, Tables],
    folder: Path,
    datasets: Mapping[str, str],
    *,
    marked: Sequence[str],
    guard: Guard,
) -> tuple[list[Verdict], list[Block]]:
    """The verdicts, and the section that shows them; none where there are no claims."""
    verdicts: list[Verdict] = []
    blocks: list[Block] = []
    if claims:
        with guard.part("the report's claims", blocks):
            verdicts += judge_claims(claims, tables)
            for verdict in verdicts:
                if MISMEASURED in verdict.reason:
                    guard.tell(f"claim {verdict.claim.id} of {verdict.study}: {verdict.reason}")
            blocks += show_claims(verdicts, folder, datasets=datasets, marked=marked)
            blocks.append(describe_untested(tables.values()))
    return verdicts, blocks


def _show_study(
    name: str,
    study: StudyReport,
    tables: Tables,
    *,
    drawn: Sequence[Drawn],
    beside: Mapping[str, Mapping[str, float]],
    guard: Guard,
) -> list[Block]:
    """What a study took and how it is run again, what conflicts with it, and its figures."""
    parts: list[Block] = []
    with guard.part(f"what {name} took", parts):
        parts.append(_describe_study(tables.trials, study.command))
    parts.append(describe_conflicts_of(name, beside))
    if set(study.figures or ()) & BESIDE_REPORTED:
        with guard.part(f"the losses of {name} beside the report's", parts):
            parts.append(describe_deviations(compute_deviations(tables.trials, tables.history)))
    with guard.part(f"the figures of {name}", parts):
        parts += _show_figures(name, drawn, asked=study.figures or (), guard=guard)
    for figure in drawn:
        if figure.is_error:
            guard.tell(f"{name}: {figure}")
    return parts


def _open_page(
    verdicts: Sequence[Verdict],
    pictures: Pictures,
    sections: Mapping[str, list[Block]],
    datasets: Mapping[str, str],
    guard: Guard,
) -> list[Block]:
    """The answer: what was found, and the first figure, which its own section then only links to."""
    blocks: list[Block] = [Heading(2, "The answer")]
    with guard.part("the findings", blocks):
        findings = pick_findings(verdicts, pictures, datasets)
        if findings.findings:
            blocks.append(findings)
        elif verdicts:
            blocks.append("No claim is decided yet.")
    shown = [pictures[key] for one in verdicts if (key := (one.study, one.claim.figure)) in pictures]
    if first := next(iter([*shown, *pictures.values()]), None):
        blocks.append(replace(first, title=f"Figure 1: {first.title} ({first.study})", is_open=True))
        parts = sections[first.study]
        parts[parts.index(first)] = f"{first.title}: [Figure 1](#{first.slug}), above."
    return blocks if len(blocks) > 1 else []


def _verdicts_shown_by(verdicts: Sequence[Verdict], picture: Picture) -> list[Verdict]:
    """The verdicts that this figure shows: primary ones and what is decided first, each claim once."""
    own = [one for one in verdicts if (one.study, one.claim.figure) == (picture.study, picture.name) and one.shown]
    own.sort(key=lambda one: (one.role != "primary", one.before_correction == "undecided"))
    return list({one.claim.claim: one for one in reversed(own)}.values())[::-1][:MOST_FOUND]


def _show_figures(study: str, drawn: Sequence[Drawn], *, asked: Collection[str], guard: Guard) -> list[Block]:
    """Each figure with its caption and numbers; why others are missing, where they were asked for or it is an error."""
    parts: list[Block] = []
    for file in (path for figure in drawn for path in figure.files if path.suffix in PICTURES):
        numbers, table = file.with_suffix(".csv"), [""]
        with guard.part(f"the numbers of {file.stem}", table):
            table.append(tabulate_numbers(pd.read_csv(numbers)))
        about = read_about(file)
        title = about.title or FIGURES[file.stem].title
        parts.append(Picture(study, file.stem, title, about.caption, file, numbers, table[-1]))
    parts += [
        f"**Missing:** {figure}" for figure in drawn if figure.is_error or (figure.reason and figure.name in asked)
    ]
    if not parts:
        parts.append("No figure could be drawn: no trial has finished.")
    return parts


def _describe_study(trials: pd.DataFrame, command: str) -> str:
    """What a study trained, in one line, and the command that does it again."""
    status = trials["status"].value_counts()
    counts = ", ".join(f"{num:,} {which}" for which, num in status.items())
    trained = longest_of_each(trials)  # whose epochs the shorter ones share
    parts = [
        ", ".join(sorted(trials["dataset"].unique())),
        f"{plural(len(trials), 'trial')}: {counts}",
        plural(trials["seed"].nunique(), "seed"),
        plural(int(trained["epochs_trained"].sum()), "epoch"),
        f"{trained['train_seconds'].sum() / 60:.1f} minutes of training",
        f"`{command}`",
    ]
    return " · ".join(parts)
