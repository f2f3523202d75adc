"""The parts of `python -m tests.gpu`, and what each leaves behind."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from models.numerics.machine import describe_hardware

PARTS = ("check", "bench", "study")

SECONDS = {"check": 200, "bench": 130, "study": 150}
"""The most that each part takes on a card: 8 minutes in all. What no longer fits is left out, and named."""


@dataclass
class Report:
    """What a part found, as rows of one table."""

    columns: dict[str, str]  # key in a row -> heading
    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # none: all went well
    details: dict[str, Any] = field(default_factory=dict)  # for the JSON alone


def write_report(out: Path, part: str, report: Report, *, command: str) -> None:
    """Write `<part>.json`, and `<part>.md`, ready for BENCHMARKS.md; they replace what the part has written before."""
    machine = describe_hardware(with_gpu=True)
    date = datetime.now().astimezone().isoformat(timespec="seconds")
    content = {"part": part, "command": command, "date": date, "machine": machine} | vars(report)
    (out / f"{part}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    card = machine["gpu"] or "no graphics card"
    title = f"{card}, torch {machine['torch']}, Python {machine['python']}, {date}: `{command}`"
    (out / f"{part}.md").write_text(f"{title}\n\n{format_report(report)}\n", encoding="utf-8")


def format_report(report: Report) -> str:
    """The table in Markdown, then notes and problems."""
    if not report.rows:
        return "\n".join([*report.notes, *(f"PROBLEM: {problem}" for problem in report.problems)])
    lines = [list(report.columns.values()), ["---"] * len(report.columns)]
    lines += [[format_cell(row.get(key)) for key in report.columns] for row in report.rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([table, "", *report.notes, *(f"PROBLEM: {problem}" for problem in report.problems)]).rstrip()


def format_cell(value: Any) -> str:
    """A number with three digits that count; nothing where there is none."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value).replace("|", "/").replace("\n", " ")
