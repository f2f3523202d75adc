"""What is printed steers no terminal: only the console itself does."""

import io

import pytest
from rich.style import Style
from rich.table import Table
from rich.text import Text

from harness.commands.console import make_console

HOSTILE = "a\x1b]0;title\x07\x1b[2J\x9b31m\r\u202eb\tc\nd ä ß 😀"


@pytest.mark.parametrize("is_terminal", [False, True])
def test_text_that_steers_a_terminal_is_printed_without_what_steers(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    monkeypatch.setattr("sys.stdout", io.StringIO())
    console = make_console()
    console._force_terminal = is_terminal
    table = Table.grid()
    table.add_row(Text(HOSTILE))
    for shown in (HOSTILE, Text(HOSTILE), table):
        console.print(shown, soft_wrap=True)
    written = console.file.getvalue()  # type: ignore[attr-defined]
    assert written.count("a]0;title[2J31mb") == 3
    assert written.count("d ä ß 😀") == 3
    assert not set("\x1b\x07\x9b\r\u202e") & set(written)


def test_colours_and_links_of_ours_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    console = make_console(stderr=True)
    console._force_terminal, console.legacy_windows = True, False
    console._color_system = 1  # type: ignore[assignment]
    with console.status("waiting"):
        console.print(Text("red", Style(color="red", link="https://host")))
    written = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b[31m" in written
    assert "\x1b]8;" in written
    assert "\x1b[?25l" in written, "the status hides the cursor"
