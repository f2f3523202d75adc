"""The page as one HTML file: pictures and numbers inside, no script, nothing fetched from anywhere."""

import base64
import gzip
import html
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from urllib.parse import quote, unquote

from markdown_it import MarkdownIt
from PIL import Image

from analysis.report.blocks import (
    Block,
    Claims,
    Finding,
    Findings,
    Folded,
    Heading,
    Picture,
    anchor_of,
    headline_numbers,
    to_slug,
)
from analysis.report.matrix import render_badge, render_matrix

MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
MARKDOWN.render("once, so that threads find its rules made")
FOLDED_FROM = 4  # rows of a table, or items of a list
PLAIN = '=:,;/()[]{}"!*$@?+~| '  # what an address in single quotes may hold, which base64 would make longer
THUMBNAIL = 288  # pixels: twice the width that page.css gives it
PACKED_FROM = 32_000  # bytes of a table: longer ones would be a third of the page; pandas reads them packed too
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{css}</style>
</head>
<body>
<nav aria-label="Contents"><input type="checkbox" id="menu"><label for="menu">Contents</label>
{contents}
</nav>
<main>
{body}
</main>
</body>
</html>
"""


def as_html(blocks: Sequence[Block], folder: Path) -> str:
    """The page. folder: in which the files lie that Markdown links to."""
    titles = [block.text for block in blocks if isinstance(block, Heading) and block.level == 1]
    css = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    with ThreadPoolExecutor() as pool:  # pictures take the longest, and are packed without Python's lock
        body = "\n".join(pool.map(lambda section: _render_section(section, folder), _split(blocks)))
    return PAGE.format(title=html.escape(titles[0]), css=css, contents=_list_contents(blocks), body=body)


def _split(blocks: Sequence[Block]) -> list[list[Block]]:
    """The blocks of each heading that stands in the contents, after what stands before the first."""
    sections: list[list[Block]] = [[]]
    for block in blocks:
        if isinstance(block, Heading) and (block.level == 2 or block.listed):
            sections.append([])
        sections[-1].append(block)
    return sections


def _render_section(blocks: Sequence[Block], folder: Path) -> str:
    """Text and, in one row with it, the figures of a study."""
    cards = [_render(block, folder) for block in blocks if isinstance(block, Picture) and not block.is_open]
    text = "\n".join(_render(block, folder) for block in blocks if not isinstance(block, Picture) or block.is_open)
    if not cards:
        return text
    return f'<section class="study"><div class="about">{text}</div>{"".join(cards)}</section>'


def _list_contents(blocks: Sequence[Block]) -> str:
    """Links to the headings that stand in the contents."""
    lines = [
        f'<li class="level{block.level}"><a href="#{block.slug}">{html.escape(block.text)}</a></li>'
        for block in blocks
        if isinstance(block, Heading) and (block.level == 2 or block.listed)
    ]
    return f"<ul>{''.join(lines)}</ul>"


def _render(block: Block, folder: Path) -> str:
    match block:
        case str():
            return _render_markdown(block, folder)
        case Heading():
            return f'<h{block.level} id="{block.slug}">{html.escape(block.text, quote=False)}</h{block.level}>'
        case Picture():
            return _render_picture(block, folder)
        case Findings():
            return f'<ol class="findings">{"".join(map(_render_finding, block.findings))}</ol>'
        case Claims():
            return render_matrix(block)
        case Folded():
            inner = "\n".join(_render(own, folder) for own in block.blocks)
            summary = html.escape(block.summary)
            return f'<details id="{to_slug(block.summary)}"><summary>{summary}</summary>\n{inner}\n</details>'


def _render_markdown(text: str, folder: Path) -> str:
    body = MARKDOWN.render(text)
    body = re.sub(r"<h([23])>(.*?)</h\1>", lambda match: _with_id(*match.groups()), body)
    body = re.sub(r"<(table|ul)>.*?</\1>", lambda match: _fold_if_long(match[0]), body, flags=re.DOTALL)

    def embed(match: re.Match[str]) -> str:
        table = folder / unquote(match[1])
        return f"<a {_embed_table(table)}" if table.is_file() else match[0]  # one of a user's may lead nowhere

    return re.sub(r'<a href="([^"#:]+\.csv)"', embed, body)


def _with_id(level: str, text: str) -> str:
    return f'<h{level} id="{Heading(int(level), re.sub("<.*?>", "", html.unescape(text))).slug}">{text}</h{level}>'


def _fold_if_long(found: str) -> str:
    """A table that a phone can scroll; behind a line if it is long, as is a list."""
    is_table = found.startswith("<table")
    num = found.count("<tr>") - 1 if is_table else found.count("<li>")
    shown = f'<div class="scroll">{found}</div>' if is_table else found
    if num < FOLDED_FROM:
        return shown
    return f"<details><summary>{num} {'rows' if is_table else 'lines'}</summary>{shown}</details>"


def _render_finding(finding: Finding) -> str:
    verdict, picture = finding.verdict, finding.picture
    numbers = "".join(
        f'<p><b class="number">{html.escape(number)}</b> <small>{html.escape(rest)}</small></p>'
        for number, rest in headline_numbers(verdict)
    )
    lost = f" <small>{verdict.lost}</small>" if verdict.lost else ""
    thumbnail = ""
    if picture is not None:
        alt = html.escape(picture.alt, quote=True)
        thumbnail = (
            f'<a class="thumbnail" href="#{picture.slug}"><img src={_embed_small(picture.file)} alt="{alt}"></a>'
        )
    told = " · ".join(filter(None, (finding.dataset, verdict.claim.variant, finding.elsewhere)))
    claim = f'<a href="#{anchor_of(verdict)}">{html.escape(verdict.claim.claim)}</a>'
    return (
        f'<li>{thumbnail}<div><p class="words">{claim}</p>{numbers}<p><small>{html.escape(told)}</small></p>'
        f"<p>{render_badge(verdict)}{lost}</p></div></li>"
    )


def _render_picture(picture: Picture, folder: Path) -> str:
    width, height = _measure(picture.file)
    alt = html.escape(f"{picture.alt}. {picture.caption}", quote=True)  # folded in, and so not read out
    is_wide = ' class="wide"' if width > 700 else ""
    if picture.file.suffix == ".svg":  # in the page itself, where marks say their values when they are pointed at
        text = picture.file.read_text(encoding="utf-8")
        drawn = re.sub(r"<title>.*?</title><desc>.*?</desc>", "", text[text.index("<svg") :], count=1, flags=re.DOTALL)
        image = drawn.replace("<svg ", f'<svg role="img" aria-label="{alt}"{is_wide} ', 1)
    else:
        image = (
            f'<img src={_embed_pixels(picture.file)} alt="{alt}" width="{width}" height="{height}"{is_wide} '
            'loading="lazy" decoding="async">'
        )
    found = "".join(f"<p>{MARKDOWN.renderInline(line)}</p>" for line in picture.found)
    numbers = f"<a {_embed_table(picture.numbers)}>{picture.numbers.name}</a>"
    more = _render_markdown(picture.table, folder) if picture.table else ""
    kind, state = ("shown", " open") if picture.is_open else ("card", "")
    title = f"<figcaption><b>{html.escape(picture.title)}</b>{found}</figcaption>"
    return (
        f'<figure class="{kind}" id="{picture.slug}">{title}'
        f"<details{state}><summary>{image}</summary>"
        f"<p>{html.escape(picture.caption)} Numbers: {numbers}.</p>{more}</details></figure>"
    )


def _measure(file: Path) -> tuple[int, int]:
    """Width and height in CSS pixels at which letters have their size."""
    if file.suffix == ".svg":
        head = file.read_text(encoding="utf-8")[:2000]
        width, height = (float(re.search(rf'<svg [^>]*\b{name}="([\d.]+)pt"', head)[1]) for name in ("width", "height"))  # type: ignore[index]
        return round(width / 0.75), round(height / 0.75)
    with Image.open(file) as image:
        per_inch = float(image.info.get("dpi", (150, 150))[0])
        return round(image.width / per_inch * 96), round(image.height / per_inch * 96)


def _embed_table(file: Path) -> str:
    """What a link to the table needs to hold it: where it is long, packed."""
    content = file.read_bytes()
    if len(content) >= PACKED_FROM:
        packed = gzip.compress(content, mtime=0)
        return f'download="{file.name}.gz" href={_address("application/gzip", packed)}'
    return f'download="{file.name}" href={_text_address("text/csv", content.decode())}'


def _embed_pixels(file: Path) -> str:
    """An address that holds the picture, every pixel as it is, a third smaller than as PNG."""
    with Image.open(file) as image:
        return _webp_address(image)


def _embed_small(file: Path) -> str:
    """Likewise, a picture that is shown small: of pixels, as many as are shown."""
    if file.suffix == ".svg":
        return _text_address("image/svg+xml", file.read_text(encoding="utf-8"))
    with Image.open(file) as image:
        small = image.convert("RGB")
        small.thumbnail((THUMBNAIL, THUMBNAIL))
        return _webp_address(small.quantize(64, dither=Image.Dither.NONE))


def _webp_address(image: Image.Image) -> str:
    buffer = BytesIO()
    image.convert("RGB").save(buffer, "webp", lossless=True, method=3)  # as small as the next, and faster
    return _address("image/webp", buffer.getvalue())


def _address(kind: str, content: bytes) -> str:
    return f"'data:{kind};base64,{base64.b64encode(content).decode()}'"


def _text_address(kind: str, text: str) -> str:
    return f"'data:{kind};charset=utf-8,{quote(text, safe=PLAIN)}'"
