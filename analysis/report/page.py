"""One page that shows what studies found: in Markdown beside its figures, and as one HTML file that holds them."""

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from analysis.claims import MISMEASURED, Claim, Verdict, judge_claims
from analysis.claims.summary import format_outcome
from analysis.drawing.figure import WENT_WRONG, read_caption
from analysis.figures.draw import FIGURES, draw_studies
from analysis.files import write_atomically
from analysis.report.claims import show_claims
from analysis.report.conflicts import describe_conflicts_of, tabulate_conflicts
from analysis.report.guard import Guard
from analysis.report.numbers import tabulate_numbers
from analysis.report.open_questions import answer_open_questions
from analysis.report.provenance import describe_cost, tabulate_provenance
from analysis.tables import Tables
from analysis.tables.configurations import longest_of_each
from analysis.tables.conflicts import find_conflicts, pairs_of_studies
from analysis.tables.reported_numbers import compute_deviations, describe_deviations
from analysis.wording import markdown_table, plural

IMAGE = re.compile(r'<img src="([^"]+)"')
NUMBERS = re.compile(r'<a href="([^"]+\.csv)"')
BESIDE_REPORTED = {"relaxed_elbo_by_latent_dim", "losses_beside_reported"}
"""Figures that show the report's own training beside ours."""

# Narrow enough to read, wide enough for a figure; a table scrolls by itself on a phone.
CSS = """
body { max-width: 60rem; margin: 0 auto; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif; color: #222; }
h1, h2, h3 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #ddd; }
img { max-width: 100%; height: auto; } code { background: #f4f4f4; padding: 0 .2em; overflow-wrap: anywhere; }
pre { overflow-x: auto; background: #f4f4f4; padding: .5rem; font-size: .8rem; max-height: 24rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; font-size: .9rem; }
td code { overflow-wrap: normal; } table:nth-of-type(-n+2) td:is(:nth-child(2), :nth-child(3)) { min-width: 14rem; }
th, td { padding: .3rem .5rem; text-align: left; border-bottom: 1px solid #ddd; vertical-align: top; }
@media print {
  body { max-width: none; font-size: 9pt; } h2, h3 { break-after: avoid; }
  img { break-inside: avoid; max-height: 21cm; }
  table { display: table; font-size: 8pt; } table:nth-of-type(-n+2) td:nth-child(n) { min-width: 0; }
  tr { break-inside: avoid; } pre { max-height: none; white-space: pre-wrap; }
}
"""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>spikeslab report</title>
<style>{css}</style>
</head>
<body>
{body}</body>
</html>
"""


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
) -> list[Path]:
    """Draw the figures of these studies and write report.md and report.html to `folder`; returns both paths.

    tables, studies: by name of the study; a study without tables is said to be missing. claims: each gets its verdict.
    num_processes: that draw at once. on_problem: called with a sentence for each part that went wrong, which stands on
    the page, too; all other parts are there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    guard = Guard(on_problem)
    there = {name: tables[name] for name in studies if name in tables}
    asked = {name: studies[name].figures for name in there}
    with ThreadPoolExecutor(1) as thread:  # figures take the longest; all else is computed meanwhile
        drawing = thread.submit(draw_studies, there, folder / "figures", only=asked, num_processes=num_processes)
        verdicts: list[Verdict] = []
        conflicts = find_conflicts(there)
        beside = pairs_of_studies(conflicts)
        parts = ["# Studies of Variational Sparse Coding"]
        if claims:
            with guard.part("the report's claims", parts):
                verdicts += judge_claims(claims, tables)
                for verdict in verdicts:
                    if MISMEASURED in verdict.reason:
                        on_problem(f"claim {verdict.claim.id} of {verdict.study}: {verdict.reason}")
                parts += show_claims(verdicts, folder, marked=list(beside))
        parts.append("## Studies")
        with guard.part("the table of studies", parts):
            parts.append(_summarise(tables, studies))
        with guard.part("the cost of all studies", parts):
            parts.append(describe_cost(tables))
        with guard.part("what the report left open", parts):
            parts.append(answer_open_questions(tables, guard))
    for name, study in studies.items():
        parts += [f"## {name}", study.question, f"Trained and drawn by `{study.command}`."]
        if name not in tables:
            parts.append(f"**Missing:** {study.problem or 'its tables'}")
            continue
        parts += _show_verdicts([verdict for verdict in verdicts if verdict.study == name])
        parts.append(describe_conflicts_of(name, beside))
        if set(study.figures or ()) & BESIDE_REPORTED:
            with guard.part(f"the losses of {name} beside the report's", parts):
                parts.append(describe_deviations(compute_deviations(tables[name].trials, tables[name].history)))
        with guard.part(f"the figures of {name}", parts):
            paths, messages = drawing.result()[name]
            parts += _show_figures(paths, messages, folder, is_all_asked=study.figures is not None, guard=guard)
            for line in messages:
                if WENT_WRONG in line:
                    on_problem(f"{name}: {line}")
    records = {name: study.provenance for name, study in studies.items()}
    with guard.part("trials with several results", parts):
        parts += tabulate_conflicts(conflicts, records)
    parts.append("## What produced these results")
    with guard.part("the record of what produced them", parts):
        parts += tabulate_provenance(records)
    text = "\n\n".join(part.strip() for part in parts if part) + "\n"
    paths = [folder / "report.md", folder / "report.html"]
    for path, content in zip(paths, (text, _as_html(text, folder)), strict=True):
        write_atomically(path, partial(Path.write_text, data=content, encoding="utf-8"))
    return paths


def _show_verdicts(verdicts: Sequence[Verdict]) -> list[str]:
    """What was found of the claims that ask for this study."""
    lines = [f"- {format_outcome(verdict)}: {verdict.claim.words}" for verdict in verdicts]
    return ["What was found of the report's claims:", "\n".join(lines)] if lines else []


def _show_figures(
    paths: Sequence[Path], messages: Sequence[str], folder: Path, *, is_all_asked: bool, guard: Guard
) -> list[str]:
    """Each figure with its caption and numbers; why others are missing, where all were asked for or it is an error."""
    parts: list[str] = []
    for picture in (path for path in paths if path.suffix == ".png"):
        title, numbers = FIGURES[picture.stem].title, picture.with_suffix(".csv")
        parts += [
            f"### {title}",
            f"![{title}]({picture.relative_to(folder).as_posix()})",
            f"{read_caption(picture)} Numbers: [{numbers.name}]({numbers.relative_to(folder).as_posix()}).",
        ]
        with guard.part(f"the numbers of {picture.stem}", parts):
            parts.append(tabulate_numbers(pd.read_csv(numbers)))
    for line in messages:
        if WENT_WRONG in line or (is_all_asked and ": not drawn, " in line):
            parts.append(f"**Missing:** {line}")
    if not paths and not parts:
        parts.append("No figure could be drawn: no trial has finished.")
    return parts


def _summarise(tables: Mapping[str, Tables], studies: Mapping[str, StudyReport]) -> str:
    """A row for each study: what it asked, and what it took to answer."""
    head = ["study", "asks", "dataset", "trials", "seeds", "epochs trained", "minutes of training"]
    rows = []
    for name, study in studies.items():
        if name not in tables:
            rows.append([f"[{name}](#{name})", study.question, "", "missing", "", "", ""])
            continue
        trials = tables[name].trials
        status = trials["status"].value_counts()
        counts = ", ".join(f"{num:,} {which}" for which, num in status.items())
        trained = longest_of_each(trials)  # whose epochs the shorter ones share
        seconds = trained["train_seconds"].sum()
        rows.append(
            [
                f"[{name}](#{name})",
                study.question,
                ", ".join(sorted(trials["dataset"].unique())),
                f"{plural(len(trials), 'trial')}: {counts}",
                str(trials["seed"].nunique()),
                f"{int(trained['epochs_trained'].sum()):,}",
                f"{seconds / 60:.1f}",
            ]
        )
    return markdown_table(head, rows)


def _as_html(text: str, folder: Path) -> str:
    """The Markdown as one file: pictures and numbers inside, nothing fetched from anywhere."""
    from markdown_it import MarkdownIt

    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    body = re.sub(r"<h2>([^<]+)</h2>", lambda match: f'<h2 id="{_anchor(match[1])}">{match[1]}</h2>', body)
    body = IMAGE.sub(lambda match: f'<img src="{_embed(folder / match[1], "image/png")}"', body)

    def embed_numbers(match: re.Match[str]) -> str:
        path = folder / match[1]
        return f'<a download="{path.name}" href="{_embed(path, "text/csv")}"'

    return PAGE.format(css=CSS, body=NUMBERS.sub(embed_numbers, body))


def _anchor(heading: str) -> str:
    """What links to a heading are called, as GitHub calls them in the Markdown."""
    return re.sub(r"[^\w]+", "-", heading.lower()).strip("-")


def _embed(file: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode()}"
