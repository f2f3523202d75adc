"""What the page is made of, before it is Markdown or HTML. A block that is a `str` is Markdown."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from analysis.claims import Verdict
from analysis.claims.summary import format_part

SIGNS = {"supported": "✓", "refuted": "✗", "mixed": "±", "undecided": "?"}
"""Of verdicts, for who cannot tell their colours apart."""


@dataclass(frozen=True)
class Heading:
    """A heading; those of level 2, and of level 3 where they are `listed`, stand in the contents."""

    level: int
    text: str
    listed: bool = False

    @property
    def slug(self) -> str:
        """What links to it are called, as GitHub calls them in the Markdown."""
        return to_slug(self.text)


@dataclass(frozen=True)
class Picture:
    """A figure with what it shows, how to read it, and its numbers.

    found: what the claims that it shows came to, a line of Markdown each. is_open: shown large, with its caption.
    """

    study: str
    name: str
    title: str
    caption: str
    file: Path
    numbers: Path
    table: str = ""  # of the numbers, in Markdown
    found: Sequence[str] = ()
    is_open: bool = False

    @property
    def slug(self) -> str:
        """The id of the figure on the page."""
        return to_slug(f"{self.study}-{self.name}")

    @property
    def alt(self) -> str:
        """What it is of, for who does not see it: what was found stands above it, and how to read it below."""
        return f"{self.title}, {self.study}"


@dataclass(frozen=True)
class Finding:
    """A claim that was decided, with the number that decides it and the figure that shows it, if it was drawn.

    dataset: on whose images, as readers call it. elsewhere: what was found on other images, if anything was.
    """

    verdict: Verdict
    picture: Picture | None
    dataset: str
    elsewhere: str = ""


@dataclass(frozen=True)
class Findings:
    """The answer of the page: its findings, most certain first."""

    findings: Sequence[Finding]


@dataclass(frozen=True)
class Claims:
    """Every claim by dataset: a matrix that unfolds in HTML, `tables` in Markdown.

    datasets: of each study that was judged.
    """

    verdicts: Sequence[Verdict]
    datasets: dict[str, str]
    tables: str


@dataclass(frozen=True)
class Folded:
    """What only some readers want: behind a line that says what it is, and by which its id is made."""

    summary: str
    blocks: Sequence["Block"] = field(default_factory=list)


Block = str | Heading | Picture | Findings | Claims | Folded


def to_slug(text: str) -> str:
    """Small letters, digits and single hyphens, for an id."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def anchor_of(verdict: Verdict) -> str:
    """The id of a verdict on the page, of its entry and its study."""
    return to_slug(f"claim-{verdict.claim.id}-{verdict.study}")


def say_finding(verdict: Verdict) -> str:
    """What was found of a claim, in one line of Markdown: sign, verdict, claim as measured, number that decides it."""
    word = verdict.outcome
    lost = f", {verdict.lost}" if verdict.lost else ""
    kind = ", exploratory" if verdict.role == "exploratory" else ""
    number = "; ".join(f"{format_part(part)} ({part.name})" for part in verdict.shown) or verdict.reason
    return f"{SIGNS[word]} **{verdict.claim.words}** {word.capitalize()}{lost}{kind}: {number}."


def headline_numbers(verdict: Verdict) -> list[tuple[str, str]]:
    """The numbers of a finding to write large, and what each is of: of a mixed one that which makes it so, too."""
    why = f" · {verdict.reason}" if verdict.outcome == "refuted" and verdict.reason else ""  # which premise fails
    told = []
    for part in verdict.shown:
        number, _, rest = format_part(part).partition(" ")
        told.append((number, f"{rest} · {part.name}{why}"))
    return told
