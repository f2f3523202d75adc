"""The page as Markdown, as GitHub shows it."""

from collections.abc import Sequence
from pathlib import Path

from analysis.report.blocks import Block, Claims, Findings, Folded, Heading, Picture, say_finding


def as_markdown(blocks: Sequence[Block], folder: Path) -> str:
    """The blocks one below the other; pictures are linked to, relative to `folder`."""
    texts = (_render(block, folder).strip() for block in blocks)
    return "\n\n".join(text for text in texts if text) + "\n"


def _render(block: Block, folder: Path) -> str:
    match block:
        case str():
            return block
        case Heading():
            return f"{'#' * block.level} {block.text}"
        case Picture():
            return _render_picture(block, folder)
        case Findings():
            lines = []
            for number, finding in enumerate(block.findings, 1):
                elsewhere = f"; {finding.elsewhere}" if finding.elsewhere else ""
                where = f" ({finding.dataset}, `{finding.verdict.study}`{elsewhere})"
                lines.append(f"{number}. {say_finding(finding.verdict)}{where}")
            return "\n".join(lines)
        case Claims():
            return block.tables
        case Folded():
            return f"<details><summary>{block.summary}</summary>\n\n{as_markdown(block.blocks, folder)}\n</details>"


def _render_picture(picture: Picture, folder: Path) -> str:
    alt = picture.alt.replace("[", "(").replace("]", ")")
    numbers = picture.numbers.relative_to(folder).as_posix()
    parts = [
        f'<a id="{picture.slug}"></a>',
        f"#### {picture.title}",
        "\n".join(f"- {line}" for line in picture.found),
        f"![{alt}]({picture.file.relative_to(folder).as_posix()})",
        f"{picture.caption} Numbers: [{picture.numbers.name}]({numbers}).",
        f"<details><summary>Numbers</summary>\n\n{picture.table}\n\n</details>" if picture.table else "",
    ]
    return "\n\n".join(part for part in parts if part)
