"""In which format a table is written."""

from pathlib import Path

import pytest

from harness.commands.export import Format, choose_format
from harness.errors import InputError


@pytest.mark.parametrize(
    ("given", "out", "expected"),
    [
        (None, None, "csv"),
        (None, "x.csv", "csv"),
        (None, "a.csv/x.tex", "latex"),
        (None, "X.TEX", "latex"),
        (None, "x.parquet", "parquet"),
        (None, "/dev/stdout", "csv"),
        ("latex", None, "latex"),
        ("latex", "x.tex", "latex"),
        ("latex", "x.txt", "latex"),
    ],
)
def test_a_table_has_the_format_that_is_given_or_that_its_name_says(
    given: Format | None, out: str | None, expected: Format
) -> None:
    assert choose_format(given, None if out is None else Path(out)) == expected


def test_a_format_that_the_name_contradicts_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        choose_format("csv", Path("x.tex"))
    said = "--out x.tex: a name for latex, but --format is csv; change one, or leave --format out"
    assert str(caught.value) == said


@pytest.mark.parametrize("name", ["x.csv.gz", "x.pq", "x.txt"])
def test_a_name_of_another_format_is_refused_unless_one_is_given(name: str) -> None:
    with pytest.raises(InputError) as caught:
        choose_format(None, Path(name))
    said = f"--out {name}: {Path(name).suffix} is none of .csv, .tex, .parquet; change it, or give --format"
    assert str(caught.value) == said
    assert choose_format("csv", Path(name)) == "csv"


def test_a_folder_is_no_file_for_a_table(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^--out .*: is a folder; give the name of a file$"):
        choose_format(None, tmp_path)
