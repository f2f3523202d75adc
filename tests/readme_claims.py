"""README's table of claims, as the published tables have it: `python -m tests.readme_claims` puts it there."""

from pathlib import Path

from analysis.claims import Verdict, judge_claims, load_claims
from analysis.claims.summary import say_part
from analysis.tables import load_tables
from analysis.wording import markdown_table

FOLDER = Path(__file__).parent.parent
README = FOLDER / "README.md"
START, END = "<!-- claims: python -m tests.readme_claims -->\n", "<!-- end of claims -->\n"
OF_FASHION = "-fashion"


def judge_published() -> list[Verdict]:
    """The claims, as the published tables have them."""
    folders = sorted((FOLDER / "studies" / "published").glob("*/trials.parquet"))
    tables = {path.parent.name: load_tables(path.parent) for path in folders}
    return judge_claims(load_claims(FOLDER / "studies" / "claims.yaml"), tables)


def make_table() -> str:
    """A row for each claim, a column for each dataset: the verdict, and the effect of the part that decides."""
    rows: dict[str, list[str]] = {}
    for verdict in judge_published():
        row = rows.setdefault(verdict.claim.id, [verdict.claim.words, "", ""])
        row[2 if verdict.study.removesuffix("-quick").endswith(OF_FASHION) else 1] = _say(verdict)
    return markdown_table(
        ["claim", "MNIST, or digits where only a `-quick` study ran", "Fashion-MNIST"], list(rows.values())
    )


def _say(verdict: Verdict) -> str:
    if verdict.is_of_missing_study:
        return "not run"
    effect = f": {say_part(verdict.deciding)}" if verdict.deciding else ""
    of_digits = " (digits)" if verdict.study.endswith("-quick") else ""
    return f"**{verdict.outcome}**{effect}{of_digits}"


def replace_table(text: str) -> str:
    """README with the table as it has to be."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{make_table()}\n\n{END}{after}"


if __name__ == "__main__":
    README.write_text(replace_table(README.read_text()))
