"""Claims by dataset as HTML: a row for each claim, which unfolds into every way to measure it and every part."""

import html
from collections import Counter
from collections.abc import Sequence

from analysis.claims import Part, Verdict
from analysis.claims.summary import count_parts, format_criterion, format_part, format_ps
from analysis.report.blocks import SIGNS, Claims, anchor_of, to_slug
from analysis.report.forest import draw_forest, find_axis
from analysis.tables.significance import OUTCOMES
from analysis.wording import dataset_label, plural


def render_matrix(claims: Claims) -> str:
    """The rows below a choice of which verdicts to show; needs no script."""
    rows: dict[str, list[Verdict]] = {}
    for verdict in claims.verdicts:
        if not verdict.is_of_missing_study:
            rows.setdefault(verdict.claim.claim, []).append(verdict)
    columns = list(dict.fromkeys(claims.datasets[verdict.study] for own in rows.values() for verdict in own))
    leading = {claim: _lead(own, columns, claims.datasets) for claim, own in rows.items()}
    counts = Counter(outcome for cells in leading.values() for outcome in {cell.outcome for cell in cells.values()})
    parts = [
        f'<div class="claims" style="--columns:{len(columns)}"><fieldset><legend>Show claims with a verdict of</legend>'
    ]
    choices = [("all", "any", len(rows)), *((one, f"{SIGNS[one]} {one}", counts[one]) for one in OUTCOMES)]
    for value, words, num in choices:
        checked = " checked" if value == "all" else ""
        parts.append(f'<label><input type="radio" name="verdict" id="only-{value}"{checked}> {words} ({num})</label>')
    parts.append("</fieldset>")
    heads = "".join(f"<b>{html.escape(dataset_label(column))}</b>" for column in columns)
    parts.append(f'<div class="head"><b>claim</b>{heads}</div>')
    for claim, own in rows.items():
        cells = leading[claim]
        outcomes = " ".join(sorted({cell.outcome for cell in cells.values()}))
        filled = "".join(_render_cell(cells.get(column), dataset_label(column)) for column in columns)
        parts.append(
            f'<details class="claim" data-verdicts="{outcomes}">'
            f'<summary><span class="words">{html.escape(claim)}</span>{filled}</summary>'
            f"{''.join(_render_verdict(verdict, claims.datasets) for verdict in own)}</details>"
        )
    return "\n".join([*parts, "</div>"])


def render_badge(verdict: Verdict) -> str:
    """A verdict as sign, word and colour; a dashed frame where it is exploratory."""
    outcome, kind = verdict.outcome, " exploratory" if verdict.role == "exploratory" else ""
    return f'<span class="badge {outcome}{kind}"><i aria-hidden="true">{SIGNS[outcome]}</i> {outcome}</span>'


def _lead(own: Sequence[Verdict], columns: Sequence[str], datasets: dict[str, str]) -> dict[str, Verdict]:
    """By dataset the verdict that a claim's row shows: the primary one where there is one, else the first."""
    found = {}
    for column in columns:
        there = [verdict for verdict in own if datasets[verdict.study] == column]
        if there:
            found[column] = next((verdict for verdict in there if verdict.role == "primary"), there[0])
    return found


def _render_cell(verdict: Verdict | None, column: str) -> str:
    if verdict is None:
        return '<span class="cell none">not asked</span>'
    told = [f'<span class="dataset">{html.escape(column)}</span>{render_badge(verdict)}']
    if verdict.lost:
        told.append(f"<small>{verdict.lost}</small>")
    axes = _find_axes(verdict.shown)
    told += [
        f"{draw_forest(part, axes[part.unit])}<small>{html.escape(format_part(part))}</small>" for part in verdict.shown
    ]
    if not verdict.shown:
        told.append("<small>not measured</small>")
    return f'<span class="cell">{"".join(told)}</span>'


def _render_verdict(verdict: Verdict, datasets: dict[str, str]) -> str:
    """One way to measure a claim in one study: the verdict, and a row for each part that decides it."""
    variant = verdict.claim.variant or "as claimed"
    shown = [part for part in verdict.judged_parts if part.num_seeds]
    notes = [f'<a href="#{to_slug(verdict.study)}">{html.escape(verdict.study)}</a>']
    if ps := format_ps(verdict):
        notes.append(f"p (by Holm) {ps}")
    if verdict.claim.section:
        notes.append(f"section {html.escape(verdict.claim.section)}")
    if verdict.reason:
        notes.append(html.escape(verdict.reason))
    if counted := count_parts(verdict).removeprefix("; "):
        notes.append(counted)
    notes += [html.escape(note) for note in dict.fromkeys(part.note for part in shown if part.note)]
    dataset = html.escape(dataset_label(datasets[verdict.study]))
    told = f"<small>{' · '.join(notes)}</small>"
    head = (
        f'<p id="{anchor_of(verdict)}">{render_badge(verdict)} <b>{dataset}</b>, {html.escape(variant)}<br>{told}</p>'
    )
    axes = _find_axes(shown)
    rows = "".join(_render_part(part, axes[part.unit]) for part in shown)
    return f'{head}<div class="scroll"><table class="parts">{rows}</table></div>' if rows else head


def _find_axes(parts: Sequence[Part]) -> dict[str, tuple[float, float]]:
    """By unit the axis that its parts share, so that they can be compared."""
    return {part.unit: find_axis([own for own in parts if own.unit == part.unit]) for part in parts}


def _render_part(part: Part, axis: tuple[float, float]) -> str:
    cells = [
        f'<span class="sign {part.outcome}" title="{part.outcome}">{SIGNS[part.outcome]}</span>',
        html.escape(part.name),
        draw_forest(part, axis),
        html.escape(format_part(part)),
        f"claimed {html.escape(format_criterion(part.criterion))}",
        plural(part.num_seeds, "seed"),
    ]
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
