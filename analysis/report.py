"""One page that shows what studies found: in Markdown beside its figures, and in HTML that holds all of itself."""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from analysis.configurations import longest_of_each
from analysis.drawing import plural
from analysis.figures import FIGURES, draw_figures
from analysis.open_questions import answer_open_questions
from analysis.tables import Tables
from analysis.wording import markdown_table

TITLES = {drawable.name: drawable.title for drawable in FIGURES}
IMAGE = re.compile(r'<img src="([^"]+)"')
# Narrow enough to read, wide enough for a figure; a table scrolls by itself on a phone.
CSS = """
body { max-width: 60rem; margin: 0 auto; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif; color: #222; }
h1, h2, h3 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #ddd; }
img { max-width: 100%; height: auto; } code { background: #f4f4f4; padding: 0 .2em; overflow-wrap: anywhere; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { padding: .3rem .7rem; text-align: left; border-bottom: 1px solid #ddd; }
@media print { body { max-width: none; } img { break-inside: avoid; } h2, h3 { break-after: avoid; } }
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
    """What a report says of one study besides its tables."""

    question: str
    command: str  # that trains it and draws its figures


def write_report(
    tables: Mapping[str, Tables], studies: Mapping[str, StudyReport], folder: Path, *, provenance: Sequence[str] = ()
) -> list[Path]:
    """Draw the figures of these studies and write report.md and report.html to `folder`; returns both paths.

    tables, studies: by name of the study. provenance: lines that say what produced the results.
    """
    folder.mkdir(parents=True, exist_ok=True)
    figures = {name: draw_figures(own, folder / "figures" / name) for name, own in tables.items()}
    parts = ["# Studies of Variational Sparse Coding", _summarise(tables, studies), answer_open_questions(tables)]
    for name, own in studies.items():
        pictures = [path.relative_to(folder) for path in figures[name] if path.suffix == ".png"]
        parts += [f"## {name}", own.question, f"Trained and drawn by `{own.command}`."]
        parts += [f"### {TITLES[path.stem]}\n\n![{TITLES[path.stem]}]({path.as_posix()})" for path in pictures]
        if not pictures:
            parts.append("No figure could be drawn: no trial has finished.")
    if provenance:
        parts += ["## What produced these results", "\n".join(f"- {line}" for line in provenance)]
    text = "\n\n".join(part.strip() for part in parts) + "\n"
    paths = [folder / "report.md", folder / "report.html"]
    for path, content in zip(paths, (text, _as_html(text, folder)), strict=True):
        part = path.with_name(f".{path.name}.part")
        part.write_text(content, encoding="utf-8")
        part.replace(path)
    return paths


def _summarise(tables: Mapping[str, Tables], studies: Mapping[str, StudyReport]) -> str:
    """A row for each study: what it asked, and what it took to answer."""
    head = ["study", "asks", "dataset", "trials", "seeds", "epochs trained", "minutes of training"]
    rows = []
    for name, own in tables.items():
        trials = own.trials
        status = trials["status"].value_counts()
        counts = ", ".join(f"{num:,} {which}" for which, num in status.items())
        trained = longest_of_each(trials)  # whose epochs the shorter ones share
        seconds = trained["train_seconds"].sum()
        rows.append(
            [
                f"[{name}](#{name})",
                studies[name].question,
                ", ".join(sorted(trials["dataset"].unique())),
                f"{plural(len(trials), 'trial')}: {counts}",
                str(trials["seed"].nunique()),
                f"{int(trained['epochs_trained'].sum()):,}",
                f"{seconds / 60:.1f}",
            ]
        )
    return markdown_table(head, rows)


def _as_html(text: str, folder: Path) -> str:
    """The Markdown as one file: pictures inside, nothing fetched from anywhere."""
    from markdown_it import MarkdownIt

    body = MarkdownIt("commonmark").enable("table").render(text)
    body = re.sub(r"<h2>([^<]+)</h2>", lambda match: f'<h2 id="{escape(match[1])}">{match[1]}</h2>', body)
    body = IMAGE.sub(lambda match: f'<img src="{_embed(folder / match[1])}"', body)
    return PAGE.format(css=CSS, body=body)


def _embed(picture: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"
