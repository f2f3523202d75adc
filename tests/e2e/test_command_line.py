"""The command line: help, paths in every option, and what is said of bad input."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from harness.cli.main import app
from tests.e2e.conftest import REPOSITORY, Spikeslab


def test_version_and_help(spikeslab: Spikeslab) -> None:
    assert re.fullmatch(r"spikeslab \d+\.\d+\.\d+\n", spikeslab("--version").stdout)
    assert "studies/quickstart.yaml" in spikeslab("--help").stdout


def list_commands() -> list[list[str]]:
    group = typer.main.get_command(app)
    found = []
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        found += [[name, sub] for sub in command.commands] if hasattr(command, "commands") else [[name]]
    return found


@pytest.mark.parametrize("words", list_commands(), ids=" ".join)
def test_every_command_has_help_with_an_example(words: list[str]) -> None:
    done = CliRunner().invoke(app, [*words, "--help"])
    assert done.exit_code == 0
    assert f"Example: spikeslab {' '.join(words)}" in done.output


def test_every_command_is_in_the_readme() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    assert [words for words in list_commands() if f"spikeslab {' '.join(words)}" not in readme] == []


def test_a_tilde_is_the_home_in_every_option(spikeslab: Spikeslab, folder: Path) -> None:
    home = {"HOME": str(folder / "home")}
    (folder / "home").mkdir()
    (folder / "tiny.yaml").rename(folder / "home" / "tiny.yaml")
    assert spikeslab("plan", "~/tiny.yaml", "--results=~/results", **home).returncode == 0
    done = spikeslab("status", "nothing", "--results=~/results", **home)
    assert str(folder / "home" / "results" / "nothing") in done.stderr
    assert not (folder / "~").exists()


def list_path_options() -> list[tuple[str, ...]]:
    group: Any = typer.main.get_command(app)
    found = []
    for words in list_commands():
        command = group.commands[words[0]]
        command = command.commands[words[1]] if words[1:] else command
        found += [(*words, p.opts[0]) for p in command.params if p.metavar in ("DIR", "FILE")]
    return found


@pytest.mark.parametrize("words", list_path_options(), ids=" ".join)
@pytest.mark.parametrize("path", ["", "~no-such-user/x"])
def test_every_option_that_is_a_path_is_read_alike(words: tuple[str, ...], path: str) -> None:
    *command, option = words
    done = CliRunner().invoke(app, [*command, f"{option}={path}", "tiny"])
    assert done.exit_code == 2
    assert f"Invalid value for '{option}'" in done.output
    assert "an empty path" in done.output or "no home of that user" in done.output


# arguments, text of the study file to replace, its replacement, what the one sentence must hold
BAD_INPUT = {
    "unknown key": ("run tiny.yaml", "seeds: [0, 1]", "seed: [0, 1]", "tiny.yaml:8: seed: unknown key; did you mean"),
    "alpha": (
        "run tiny.yaml",
        "[0.2, 0.5]",
        "[0.2, 1.5]",
        "tiny.yaml:7: space[1].alpha: 1.5 is not inside [1e-06, 0.999999]",
    ),
    "not yaml": ("plan tiny.yaml", "seeds: [0, 1]", "seeds: [0, 1", "tiny.yaml:"),
    "not a slug": ("run tiny.yaml", "name: tiny", "name: ../tiny", "tiny.yaml:2: name: '../tiny' is not a slug"),
    "no dataset": ("run tiny.yaml", "digits", "mnist", "spikeslab data fetch mnist"),
    "no plug-in": (
        "run tiny.yaml",
        "seeds:",
        "plugins: [mine]\nseeds:",
        "tiny.yaml:8: plugins: there is no mine.py, nor",
    ),
    "no home": ("run ~no-such-user/tiny.yaml", "", "", "~no-such-user/tiny.yaml: no home of that user; write the path"),
    "no file": ("run other.yaml", "", "", "other.yaml: cannot be read"),
    "nothing to serve": (
        "ui --allow-host x",
        "",
        "",
        "--allow-host works with --server; add --server, or leave it out",
    ),
    "no study": ("status other", "", "", "other: no study of that name"),
    "nothing to export": ("export tiny.yaml", "", "", "trials.parquet"),
    "no tables": ("plot tiny.yaml", "", "", "trials.parquet"),
    "nothing to collect": ("collect tiny.yaml", "", "", "run a study first"),
    "no database": ("ui", "", "", "mlflow.db: no such database"),
    "no such dataset": ("data verify cifar", "", "", "digits"),
    "bad override": ("run tiny.yaml --set epochs", "", "", "--set epochs: not key=value"),
    "empty path": ("plan tiny.yaml --results=", "", "", "error: --results: an empty path; name a file or a folder"),
    "address": (
        "run tiny.yaml --results http://b/x",
        "",
        "",
        "--results: http://b/x: an address, not a path; give a folder",
    ),
    "bad port": ("ui --port 0", "", "", "--port: should be greater than or equal to 1; see `spikeslab ui --help`"),
    "no number": ("bench --seconds x", "", "", "--seconds: should be a valid number; see `spikeslab bench --help`"),
    "no such format": ("export tiny.yaml --format tex", "", "", "error: --format: 'tex' is not one of 'csv', 'latex'"),
    "another format": (
        "export tiny.yaml --format csv --out x.tex",
        "",
        "",
        "error: --out x.tex: a name for latex, but --format is csv; change one, or leave --format out",
    ),
    "no such option": ("run tiny.yaml --adress x", "", "", "option: --adress (Possible options: --address, --results)"),
    "no such command": ("plam", "", "", "no such command 'plam'"),
    **{
        f"results of {words} is a file": (
            f"{words} --results tiny.yaml",
            "",
            "",
            "error: --results: tiny.yaml: is a file, not a folder; give the folder that has a folder for each study",
        )
        for words in ("run tiny.yaml", "plan tiny.yaml", "status", "report", "submit tiny.yaml")
    },
}


IN_A_PROCESS = ("unknown key", "bad port")
"""Those that a process is started for, as for a user; the others take the same way, through `main`, in this one."""


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_is_one_sentence_and_status_2(
    name: str, spikeslab: Spikeslab, spikeslab_here: Spikeslab, folder: Path
) -> None:
    arguments, old, new, expected = BAD_INPUT[name]
    (folder / "tiny.yaml").write_text((folder / "tiny.yaml").read_text().replace(old, new))
    before = {p for p in folder.rglob("*") if "cache" not in p.parts}
    run = spikeslab if name in IN_A_PROCESS else spikeslab_here
    done = run(*arguments.split())
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert expected in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert {p for p in folder.rglob("*") if "cache" not in p.parts} == before  # nothing half-written
